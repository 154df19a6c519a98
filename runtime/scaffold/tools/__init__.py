"""What the agents can do during a call: plain functions, named in `agents/` as `tools.module:function`."""
