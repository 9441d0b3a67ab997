-- What the product does for one payment, as one transaction of its own behind the lane's lock: the same reads, the same
-- rows written (the database's own triggers bring the transfer into the balances, here as there), in as few statements.
-- Transfers are numbered without gaps, so without the lock each would collide with each.
\set payer random(0, :wallets - 1)
\set step random(1, :wallets - 1)
\set payee (:payer + :step) % :wallets
\set amount random(1, 9)
BEGIN ISOLATION LEVEL SERIALIZABLE;
LOCK TABLE lane_money IN EXCLUSIVE MODE;
SELECT last_seq + 1 AS seq, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
FROM commits WHERE lane = 'money' ORDER BY last_seq DESC, at DESC, token DESC LIMIT 1 \gset
SELECT payer.account_id AS debit, payee.account_id AS credit,
    payer.posted_credits + payer.credit_limit - payer.posted_debits - payer.pending_debits >= :amount::bigint AS covered
FROM accounts AS payer, accounts AS payee
WHERE payer.scope = 'default' AND payer.owner = 'w-' || :payer::text AND payer.asset = 'credit' AND payer.kind = 'wallet'
    AND payee.scope = 'default' AND payee.owner = 'w-' || :payee::text AND payee.asset = 'credit'
    AND payee.kind = 'wallet' \gset
SELECT max(transfer_id) + 1 AS transfer_id FROM transfers \gset
\if :covered
INSERT INTO transfers (
    transfer_id, scope, kind, debit_account, credit_account, asset, amount, reason, reference, seq, at
) VALUES (
    :transfer_id::bigint, 'default', 'transfer', :debit::bigint, :credit::bigint, 'credit', :amount::bigint, 'transfer',
    '#' || :transfer_id::text, :seq::bigint, :now::bigint
);
INSERT INTO events (lane, seq, at, topic, kind, subject, member, data) VALUES (
    'money', :seq::bigint, :now::bigint, 'ledger', 'transferred', 'w-' || :payer::text, 'w-' || :payer::text,
    '{"type":"transferred","transfer_id":' || :transfer_id::text || ',"username":"w-' || :payer::text || '","to":"w-'
    || :payee::text || '","amount":"0.00000' || :amount::text || '","asset":"credit","reason":"transfer","reference":"#'
    || :transfer_id::text || '"}'
);
INSERT INTO commits (lane, last_seq, token, count, at)
VALUES ('money', :seq::bigint, md5(:seq::text), 1, :now::bigint);
\endif
COMMIT;
