"""What a SIP code or a Twilio error number means between a carrier and this service: a table, and how to look in it.

Each code has its causes in order of likelihood, and for each what to look at. General meanings are RFC 3261's,
narrowed by what was seen between carriers and OpenAI (protocol 1.5, 1.6, 5.1, 5.5) and by Twilio's error pages.
Holds words only.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a code, and what to look at to know whether it is this one."""

    what: str
    look: str


@dataclass(frozen=True, slots=True)
class Code:
    """A code with its name and its causes, the likeliest first."""

    number: int
    name: str
    causes: tuple[Cause, ...]


def explain(written: str) -> Code | None:
    """Return what a SIP code (100 to 699) or a Twilio error number (five digits) means, or None for neither.

    A code that the table does not hold is explained by its class.
    """
    found = re.fullmatch(r"(?:sip[ /]?(?:2\.0 )?)?([0-9]{3}|[0-9]{5})", written.strip().lower())
    number = int(found[1]) if found else 0
    if number in _TABLE:
        return Code(number, *_TABLE[number])
    if 100 <= number < 700:
        return Code(number, *_CLASSES[number // 100])
    return Code(number, *_twilio(number)) if number >= 10000 else None


def _twilio(number: int) -> tuple[str, tuple[Cause, ...]]:
    page = Cause(
        "Twilio has a page for each of its numbers.",
        f"Read twilio.com/docs/api/errors/{number}; where it names a SIP code, ask for that one here.",
    )
    for beginning, name, cause in _TWILIO_RANGES:
        if number // 1000 == beginning:
            return name, (cause, page)
    return "An error of Twilio's", (page,)


_WHO_REJECTED = (
    "Look for the call's line 'ended' in the host's log: its outcome and reason tell. No line 'incoming' at all: "
    "another host of the same project rejected it, since each webhook of a project hears every call."
)
_TRANSFER = "Only after a transfer: the code comes from the destination, not from this service."

_TABLE: dict[int, tuple[str, tuple[Cause, ...]]] = {
    200: (
        "OK: the call was answered",
        (
            Cause(
                "The telephone side is fine; when the caller heard nothing, the session or the sound is the matter.",
                "Read the chain in the call's line 'ended': webhook, accept, attach, confirmed, audible.",
            ),
            Cause(
                "The sound does not pass: a firewall, or a trunk without SRTP.",
                "Switch Secure Trunking on at the carrier.",
            ),
        ),
    ),
    400: (
        "Bad Request",
        (
            Cause(
                "The call was not accepted in time: the webhook came late, or the host was slow to accept.",
                "Compare the carrier's time of the call with the lines 'incoming' and 'accepted' in the host's log.",
            ),
            Cause(
                "Nobody was asked: no webhook of the project hears realtime.call.incoming, or its address fails.",
                "No line 'incoming' in the log: run 'switchboard doctor --url' with the running host's address.",
            ),
            Cause(
                "The accept was taken, but its session cannot start; the carrier's reason may say 'error code: 504'.",
                "'ended outcome=attach_failed': the model's name and access; 'switchboard show NAME --accept'.",
            ),
        ),
    ),
    401: (
        "Unauthorized",
        (
            Cause(
                "Another SIP server than OpenAI's answered, for OpenAI asks for no authentication.",
                "The Origination URI: sip:PROJECT-ID@sip.api.openai.com;transport=tls, and no other with priority.",
            ),
            Cause("The destination of a transfer wants authentication.", _TRANSFER),
        ),
    ),
    403: (
        "Forbidden",
        (
            Cause(
                "The carrier refuses: a limit, a fraud rule, a caller or a country that is not allowed.",
                "The carrier's debugger; Telnyx adds a code that begins with D.",
            ),
            Cause(
                "The trunk does not allow the transfer (SIP REFER), or not to telephone numbers.",
                "Only after a transfer. Twilio: trunk, Features, Call Transfer (SIP REFER) with PSTN transfer.",
            ),
            Cause(
                "The project may not use Realtime.", "The project's limits and allowed models at platform.openai.com."
            ),
        ),
    ),
    404: (
        "Not Found",
        (
            Cause(
                "No agent answers the called number, so that our own host rejected the call.",
                "'ended outcome=no_agent' in the log; 'switchboard who-answers --called NUMBER' tells why.",
            ),
            Cause(
                "The project's id in the Origination URI is wrong, or of another region.",
                "No line 'incoming' in the log: compare the id (proj_…) with the project's settings; EU projects use "
                "sip-eu.api.openai.com.",
            ),
        ),
    ),
    408: (
        "Request Timeout",
        (
            Cause(
                "The carrier reaches no one: UDP or TCP instead of TLS, another port than 5061, or a firewall.",
                "The Origination URI ends with ;transport=tls; some carriers need :5061 written out.",
            ),
            Cause(
                "Nobody accepted the call while it rang.",
                "Is there a line 'incoming' without 'accepted' in the log? Then read its 'ended'.",
            ),
        ),
    ),
    480: (
        "Temporarily Unavailable",
        (
            Cause("A host rejected the call with this code: on_failure names it.", _WHO_REJECTED),
            Cause("The destination of a transfer is not there.", _TRANSFER),
        ),
    ),
    481: (
        "Call Does Not Exist",
        (
            Cause(
                "One side ended the call while the other still sent something.",
                "Nothing, when it comes at the end of calls. In the middle of them: the carrier's log.",
            ),
        ),
    ),
    482: (
        "Loop Detected",
        (
            Cause(
                "A transfer or a forwarding leads back to a number that this service answers.",
                "The destinations of the agent's transfers, and forwardings at the carrier.",
            ),
        ),
    ),
    484: (
        "Address Incomplete",
        (
            Cause(
                "The address lacks its user part: the project's id, or a transfer's whole number.",
                "The Origination URI has PROJECT-ID before the @; transfers name tel:+ and the country code.",
            ),
        ),
    ),
    486: (
        "Busy Here",
        (
            Cause("The host rejected the call: its limit of calls, or the agent's, is reached.", _WHO_REJECTED),
            Cause("The carrier's limit of calls at the same time is reached.", "The trunk's limits at the carrier."),
            Cause("The destination of a transfer is busy.", _TRANSFER),
        ),
    ),
    487: (
        "Request Terminated",
        (
            Cause("The caller hung up while it rang. That is normal.", "Nothing, when it happens now and then."),
            Cause(
                "It rang for too long, and callers or the carrier gave up.",
                "Often: the seconds of 'accept' in the chain of each 'ended' line, and the carrier's ring limit.",
            ),
        ),
    ),
    488: (
        "Not Acceptable Here",
        (
            Cause("The trunk offers sound without SRTP.", "Switch Secure Trunking (TLS and SRTP) on."),
            Cause("There is no codec in common.", "Allow G.711 (PCMU or PCMA) on the trunk."),
        ),
    ),
    500: (
        "Server Internal Error",
        (
            Cause(
                "The host rejected the call: a template of the agent failed.",
                "'ended outcome=failed' in the log, with its reason.",
            ),
            Cause("The carrier does not carry out a transfer (SIP REFER).", "Only after a transfer; ask the carrier."),
            Cause("A failure at OpenAI.", "status.openai.com; try again, and keep a second Origination URI."),
        ),
    ),
    503: (
        "Service Unavailable",
        (
            Cause(
                "The host rejected the call: it was draining, or the accept failed.",
                "'ended outcome=not_taken' or 'accept_failed' in the log, with its reason.",
            ),
            Cause("OpenAI or the carrier is overloaded.", "status.openai.com; a second Origination URI as failover."),
        ),
    ),
    504: (
        "Server Time-out",
        (
            Cause(
                "A server on the way waited in vain, mostly between carrier and OpenAI.",
                "The carrier's log; the Origination URI's host; 'switchboard doctor' tries name, port and TLS.",
            ),
            Cause(
                "As 'error code: 504' in the reason of a 400: the accepted session could not start.",
                "'ended outcome=attach_failed' in the log.",
            ),
        ),
    ),
    603: (
        "Decline",
        (
            Cause("A host rejected the call; this is the code where none is named.", _WHO_REJECTED),
            Cause("The destination of a transfer declined.", _TRANSFER),
        ),
    ),
    32001: (
        "Twilio: calls per second of the trunk exceeded",
        (
            Cause(
                "More calls per second went into the trunk than it allows, transfers included.",
                "The trunk's tab Termination shows the limit; Twilio raises it.",
            ),
        ),
    ),
    32010: (
        "Twilio: no valid Origination URI",
        (
            Cause(
                "The trunk has no Origination URI, or none that is enabled.",
                "Trunk, Origination: add sip:PROJECT-ID@sip.api.openai.com;transport=tls and enable it.",
            ),
            Cause(
                "The number hangs on another trunk than the one you look at.",
                "The number's page: Configure with SIP Trunk, and which.",
            ),
        ),
    ),
    32011: (
        "Twilio: OpenAI's address gave an error, or no answer",
        (
            Cause(
                "OpenAI answered with a SIP error: this number only wraps it.",
                "The alert's details hold the SIP response: 'switchboard doctor --sip-code' with that code.",
            ),
            Cause(
                "The Origination URI is wrong: its host, the project's id, or ;transport=tls is missing.",
                "Write sip:PROJECT-ID@sip.api.openai.com;transport=tls.",
            ),
            Cause(
                "No answer in time: the call was not accepted, or the network between them fails.",
                "The lines 'incoming' and 'accepted' in the host's log; status.twilio.com and status.openai.com.",
            ),
        ),
    ),
    32200: (
        "Twilio: insufficient permissions",
        (
            Cause(
                "The account is not active, or the trunk has no authentication for calls that go out.",
                "The account's balance and state; the trunk's Termination, where calls or transfers go out.",
            ),
        ),
    ),
    32207: (
        "Twilio: secure media not accepted",
        (
            Cause(
                "A call with SRTP came to a trunk that is not secure: this service speaks SRTP, so transfers do too.",
                "Trunk, General: switch Secure Trunking on.",
            ),
            Cause(
                "A call with SRTP was sent to a Twilio SIP domain, which does not take it.",
                "Point at a trunk with Secure Trunking instead.",
            ),
        ),
    ),
    32208: (
        "Twilio: secure media required",
        (
            Cause(
                "The trunk is secure, and the other side offered sound without SRTP: mostly your own PBX.",
                "Switch SRTP on there (Asterisk: media_encryption=sdes). OpenAI's calls need Secure Trunking on.",
            ),
        ),
    ),
    32209: (
        "Twilio: secure transport required",
        (
            Cause(
                "The trunk is secure, and SIP came over UDP or TCP: mostly from your own PBX.",
                "Send SIP over TLS. The Origination URI needs ;transport=tls as well.",
            ),
        ),
    ),
    32218: (
        "Twilio: transfer not allowed",
        (
            Cause(
                "The trunk does not allow transfers, or not to this kind of destination.",
                "Trunk, Features: Call Transfer (SIP REFER) enabled; PSTN transfer too for tel: destinations.",
            ),
        ),
    ),
    32219: (
        "Twilio: redirect failed",
        (
            Cause(
                "A SIP server answered with a redirect (3xx) that Twilio does not follow; OpenAI sends none.",
                "The Origination URI's host: it leads to another server.",
            ),
        ),
    ),
    32224: (
        "Twilio: forwarded call blocked",
        (
            Cause(
                "A rule of the country forbids to send this call on, such as a domestic call to a foreign number.",
                "Transfer to a number of the same country as the one that was rung.",
            ),
        ),
    ),
    32400: (
        "Twilio: the trunk's route failed",
        (
            Cause(
                "Each attempt over this trunk failed, and no other is named.",
                "The alerts 32011 of the same call tell why: 'switchboard doctor --sip-code 32011'.",
            ),
        ),
    ),
}
_TABLE[407] = ("Proxy Authentication Required", _TABLE[401][1])
_TABLE[600] = ("Busy Everywhere", _TABLE[486][1])

_CLASSES: dict[int, tuple[str, tuple[Cause, ...]]] = {
    1: (
        "Provisional: the call is on its way",
        (Cause("It rings, or is being looked for; no failure.", "The final code that the carrier logs after it."),),
    ),
    2: ("Success", _TABLE[200][1]),
    3: (
        "Redirection",
        (
            Cause(
                "A SIP server sends the call elsewhere, which carriers seldom follow; OpenAI sends none.",
                "The Origination URI's host; Twilio reports 32219.",
            ),
        ),
    ),
    4: (
        "Client error: the request is refused as it is",
        (
            Cause(
                "The carrier or OpenAI refuses what the trunk sent: address, authentication or sound.",
                "The Origination URI, Secure Trunking, and the reason that the carrier logs beside the code.",
            ),
            Cause("A host rejected the call with this code: on_failure names it.", _WHO_REJECTED),
        ),
    ),
    5: (
        "Server error",
        (
            Cause("A server of the carrier or of OpenAI failed.", "status.openai.com and the carrier's status page."),
            Cause("A host rejected the call with this code: on_failure names it.", _WHO_REJECTED),
        ),
    ),
    6: (
        "Global failure: refused everywhere",
        (
            Cause("A host rejected the call with this code: on_failure names it.", _WHO_REJECTED),
            Cause("A filter of the carrier took it for an unwanted call.", "The carrier's debugger."),
        ),
    ),
}

_TWILIO_RANGES = (
    (
        32,
        "Twilio: an error of SIP",
        Cause(
            "Something between Twilio and a SIP server: the Origination URI, TLS, SRTP or a limit.",
            "The alert's details in Twilio's debugger hold the address and the SIP response.",
        ),
    ),
    (
        11,
        "Twilio: an error while it asked a web address",
        Cause(
            "The number has a voice URL that Twilio asks, so that its calls do not go to the trunk.",
            "The number's page: Configure with SIP Trunk; that takes the place of the voice URL.",
        ),
    ),
    (
        13,
        "Twilio: an error of a voice instruction",
        Cause(
            "A TwiML document dials or refers: the call goes to OpenAI by <Dial><Sip>, not by a trunk.",
            "<Sip> names sip:PROJECT-ID@sip.api.openai.com;transport=tls;secure=true; transfers need referUrl.",
        ),
    ),
)
