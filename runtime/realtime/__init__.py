"""OpenAI's side: webhook verification, call control, the sideband socket, the SDK. The adapters, and nothing else.

Only modules in this folder import `openai`, `agents` or `websockets`. They translate between the service's words
and ours; what to do with them is decided in `runtime.call`.
"""
