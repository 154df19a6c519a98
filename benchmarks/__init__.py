"""`python -m benchmarks`: the host measured against the SDK's stock SIP model, in the same run.

Host, control and simulator are processes of their own, on loopback; nothing here is imported by the runtime.
`control` is what the host is compared with, `agent` what both serve, `measure` the phases, `reloads` the host's
alone on changing catalogs, `table` the result.
"""
