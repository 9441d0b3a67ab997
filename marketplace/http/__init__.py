"""What every HTTP edge shares.

    problems      RFC 9457 documents: the one map from a refusal's kind to a status, and every other error's
    gate          before routing: which host, which page, which content, how much of it
    telemetry     around everything: a line in the log and two numbers a request
    requests      JSON bodies decoded strictly, in one pass, into the handler's type
    callers       who calls, by which key, and whether they may
    rate_limit    how many requests a key may send
    params        the parameters that several paths share, with their bounds
    cursors       opaque positions in a list
    idempotency   a command through its lane, with the caller's key or without
    resources     what handlers work on: the database and its lanes
    health        /livez, /readyz, /metrics
    openapi       the description of the API, made from the handlers
    docs          a page to try it, with assets of our own
    logs          how log lines look

It knows Litestar, and neither the modules above nor SQL.
"""
