"""A caller's recorded words as the samples that the Realtime API takes: 16 bits, mono, 24 kHz. Pure."""

import io
import shlex
import wave

from runtime.errors import SoundError

SAMPLES_A_SECOND = 24_000
_BYTES = 2


def samples(recording: bytes, file: str) -> bytes:
    """Return the samples of a WAV file. Raises `SoundError` for any other form: nothing is converted here."""
    convert = f"Convert it, for example: ffmpeg -i {shlex.quote(file)} -ar 24000 -ac 1 -c:a pcm_s16le caller.wav"
    try:
        with wave.open(io.BytesIO(recording)) as sound:
            channels, rate, width = sound.getnchannels(), sound.getframerate(), sound.getsampwidth()
            found: bytes = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise SoundError(
            f"{file} is no WAV file with plain samples ({str(error) or 'it ends too early'})", convert
        ) from error
    if (channels, rate, width) != (1, SAMPLES_A_SECOND, _BYTES):
        has = f"{'mono' if channels == 1 else f'{channels} channels'}, {rate:,} Hz and {8 * width} bits"
        raise SoundError(f"{file} has {has}, and a caller's turn needs mono, 24,000 Hz and 16 bits", convert)
    if not found:
        raise SoundError(f"{file} holds no sound", "Record something to say.")
    return found


def seconds_of(sound: bytes) -> float:
    """Return how long samples last."""
    return len(sound) / (_BYTES * SAMPLES_A_SECOND)
