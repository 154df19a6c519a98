"""Is not Python."""

def greet(name: str -> str:
    return name
