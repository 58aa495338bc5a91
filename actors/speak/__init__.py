"""The command `antiphon speak`: a file or a pipe, token by token, through one turn of the engine.

`command` is the command line, `source` what the agent of the turn says, `session` the turn itself, `display` what a
person or a program sees of it, `summary` what is said at the end, `voice` the command that speaks.
"""
