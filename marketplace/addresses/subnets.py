"""Which addresses of a network can be given out: parsing, and the usable runs between what is reserved.

    10.0.0.0/29, gateway 10.0.0.1, reserved 10.0.0.4
    hosts are 1 … 6 (0 is the network's own address, 7 its broadcast), usable are 2–3 and 5–6

A /31 and a /127 have two hosts and no other address (RFC 3021, RFC 6164), a /32 and a /128 one; they have a gateway
only where one is named. Of an IPv6 network the address 0, the subnet-router anycast (RFC 4291), is not given out;
there is no broadcast.
"""

from __future__ import annotations
