-- What the product does for one sell, as one transaction of its own; see buy.sql.
\set volume 45
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT state AS market_state FROM markets WHERE market = 'default' \gset
SELECT nextval('benchmark_seq') AS seq, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now \gset
WITH open AS (
    SELECT bid_id, seq, username, remaining, price
    FROM bids
    WHERE market = 'default' AND state = 'open' AND (expires_at IS NULL OR expires_at > :now::bigint)
    ORDER BY price DESC, seq
    LIMIT 64
    FOR UPDATE
), running AS (
    SELECT *, sum(remaining) OVER (ORDER BY price DESC, seq) - remaining AS before FROM open
), matched AS (
    SELECT *, least(remaining, :volume::bigint - before)::bigint AS taken, row_number() OVER (ORDER BY price DESC, seq) AS position
    FROM running
    WHERE before < :volume::bigint
)
SELECT
    count(*) AS matches,
    coalesce(sum(taken), 0)::bigint AS allocated,
    coalesce(array_agg(bid_id ORDER BY position), '{}') AS bid_ids,
    coalesce(array_agg(username ORDER BY position), '{}') AS usernames,
    coalesce(array_agg(price ORDER BY position), '{}') AS prices,
    coalesce(array_agg(taken ORDER BY position), '{}') AS volumes
FROM matched \gset
\if :matches > 0
UPDATE bids
SET remaining = bids.remaining - taken.volume,
    state = CASE WHEN bids.remaining = taken.volume THEN 'filled' ELSE 'open' END
FROM unnest(:bid_ids::bigint[], :volumes::bigint[]) AS taken (bid_id, volume)
WHERE bids.market = 'default' AND bids.bid_id = taken.bid_id;
\endif
INSERT INTO supplies (market, supply_id, provider, volume, remaining, min_price, state, added_at) VALUES (
    'default', :seq::bigint, NULL, :volume::bigint, :volume::bigint - :allocated::bigint, 0,
    CASE WHEN :allocated::bigint = :volume::bigint THEN 'exhausted' ELSE 'open' END, :now::bigint
);
\if :matches > 0
INSERT INTO allocations (market, seq, position, bid_id, supply_id, username, volume, price, allocated_at)
SELECT 'default', :seq::bigint, taken.position - 1, taken.bid_id, :seq::bigint, taken.username, taken.volume, taken.price,
    :now::bigint
FROM unnest(:bid_ids::bigint[], :usernames::text[], :volumes::bigint[], :prices::bigint[])
    WITH ORDINALITY AS taken (bid_id, username, volume, price, position);
INSERT INTO allocated_totals (market, username, volume)
SELECT 'default', taken.username, sum(taken.volume)
FROM unnest(:usernames::text[], :volumes::bigint[]) AS taken (username, volume)
GROUP BY taken.username
ORDER BY taken.username
ON CONFLICT (market, username) DO UPDATE SET volume = allocated_totals.volume + excluded.volume;
\endif
INSERT INTO events (lane, seq, at, topic, kind, subject, member, data) VALUES (
    'hours', :seq::bigint, :now::bigint, 'hours', 'supply_added', 'default/' || :seq::text, NULL,
    '{"type":"supply_added","market":"default","volume":' || :volume::text || ',"min_price": 0,"provider": null}'
);
INSERT INTO commits (lane, last_seq, token, count, at)
VALUES ('hours', :seq::bigint, md5(:seq::text), 1, :now::bigint);
COMMIT;
