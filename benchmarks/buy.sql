-- What the product does for one buy, as one transaction of its own: the same reads with their locks, the same rows
-- written, in as few statements. The seq comes from a sequence, which spares these transactions the one row that all
-- of them would fight for; they pay with a log that may have gaps.
\set user random(0, 9999)
\set volume random(1, 9)
\set price random(1, 100)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT state AS market_state FROM markets WHERE market = 'default' \gset
SELECT nextval('benchmark_seq') AS seq, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now \gset
WITH open AS (
    SELECT supply_id, remaining, min_price
    FROM supplies
    WHERE market = 'default' AND state = 'open' AND min_price <= :price::bigint
    ORDER BY min_price, supply_id
    LIMIT 64
    FOR UPDATE
), running AS (
    SELECT supply_id, remaining, sum(remaining) OVER (ORDER BY min_price, supply_id) - remaining AS before FROM open
), matched AS (
    SELECT supply_id, least(remaining, :volume::bigint - before)::bigint AS taken FROM running WHERE before < :volume::bigint
)
SELECT
    count(*) AS matches,
    coalesce(sum(taken), 0)::bigint AS allocated,
    coalesce(array_agg(supply_id ORDER BY supply_id), '{}') AS supply_ids,
    coalesce(array_agg(taken ORDER BY supply_id), '{}') AS volumes
FROM matched \gset
INSERT INTO bids (
    market, bid_id, seq, username, volume, remaining, price, time_in_force, state, placed_at, expires_at
) VALUES (
    'default', :seq::bigint, :seq::bigint, 'user-' || :user::text, :volume::bigint, :volume::bigint - :allocated::bigint,
    :price::bigint, 'gtc', CASE WHEN :allocated::bigint = :volume::bigint THEN 'filled' ELSE 'open' END, :now::bigint, NULL
);
\if :matches > 0
UPDATE supplies
SET remaining = supplies.remaining - taken.volume,
    state = CASE WHEN supplies.remaining = taken.volume THEN 'exhausted' ELSE 'open' END
FROM unnest(:supply_ids::bigint[], :volumes::bigint[]) AS taken (supply_id, volume)
WHERE supplies.market = 'default' AND supplies.supply_id = taken.supply_id;
INSERT INTO allocations (market, seq, position, bid_id, supply_id, username, volume, price, allocated_at)
SELECT 'default', :seq::bigint, taken.position - 1, :seq::bigint, taken.supply_id, 'user-' || :user::text, taken.volume,
    :price::bigint, :now::bigint
FROM unnest(:supply_ids::bigint[], :volumes::bigint[]) WITH ORDINALITY AS taken (supply_id, volume, position);
INSERT INTO allocated_totals (market, username, volume)
VALUES ('default', 'user-' || :user::text, :allocated::bigint)
ON CONFLICT (market, username) DO UPDATE SET volume = allocated_totals.volume + excluded.volume;
\endif
INSERT INTO events (lane, seq, at, topic, kind, subject, member, data) VALUES (
    'hours', :seq::bigint, :now::bigint, 'hours', 'bid_placed', 'default/' || :seq::text, 'user-' || :user::text,
    '{"type":"bid_placed","market":"default","username":"user-' || :user::text || '","volume":' || :volume::text
    || ',"price":' || :price::text || ',"time_in_force":"gtc","expires_at": null}'
);
INSERT INTO commits (lane, last_seq, token, count, at)
VALUES ('hours', :seq::bigint, md5(:seq::text), 1, :now::bigint);
COMMIT;
