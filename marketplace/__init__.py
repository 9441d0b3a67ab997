"""A self-hosted market for compute.

What is sold, and who meets whom
    hours       VM-hours: bids meet supply, highest price first, first come first served inside a price
    spot        containers that run until outbid: bids meet the room on nodes, and every second is billed
    addresses   IP addresses for what runs: every VM gets one, nobody gets two
    ledger      wallets, and what moves between them: double entry, nothing lost

The floors below it (imports go down only; import-linter holds them to it)
    cli         the command line
    app         composition root: settings in, Litestar application out
    worker      composition root: every module's timed jobs
    client      the Python SDK, sync and async; it knows only `wire`
    hours       the market for VM-hours
    spot        the market for containers
    addresses   the address pool
    ledger      wallets, holds, the books of money
    identity    members, their keys, and what each key is for
    events      what happened, in order: readers of the lanes' logs
    http        what every HTTP edge shares: problem documents, guards, cursors, metrics
    database    two engines with one meaning; the lane, which alone begins and commits; reads; the log
    wire        the public language: the structs that routes and the client share
    foundation  errors, clock, settings: imports nothing of ours

Inside a module the same file names mean the same things: `routes` speaks HTTP, `jobs` are timed steps, `service`
decides what to read, ask of the rule and write, `sql` holds every statement, `tables` is the data dictionary,
`matching` is the pure rule, `model` the words, `errors` what can be refused.

Words
    bid         an offer to buy hours           supply      hours offered by a provider
    allocation  hours given to a bid            market      a named book of bids and supplies
    account     a ledger account           transfer    money moved
    hold        money set aside: captured, whole or in part, or released
    pool        a spot market with its own price    node      a machine that runs leases
    lease       a bid's running container
    network     addresses to give out           assignment  an address given out to a VM
    lane        a set of tables with one writer at a time
    seq         the gap-free position of a command in its lane's log, in commit order
    tx          a database transaction          instant     microseconds since 1970-01-01T00:00:00Z
"""

__version__ = "0.1.0"
