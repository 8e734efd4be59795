-- Arithmetic on numeric: operation, operands, PostgreSQL's answer.
-- Run with: psql -AtqF $'\t' -f numeric.sql | awk 'length < 300 && (NR > 19000 || NR % 7 == 0)' > numeric.tsv
-- (the whole output is worth running once after a change: NUMERIC_TSV names another file for the test).
\ir answer.sql
create temp table v(t text);
insert into v values ('0'), ('0.00'), ('1'), ('-1'), ('1.00'), ('2'), ('3'), ('7'), ('10'), ('-3.50'), ('0.1'), ('0.9'), ('1.1'),
  ('0.0001'), ('9999'), ('10000'), ('9999.9999'), ('12345.6789'), ('-0.00000123'), ('1.0000001'), ('100000000'), ('123456789012345678'),
  ('99999999999999999999.99'), ('170141183460469231731687303715884105727'), ('-170141183460469231731687303715884105728'),
  ('123456789012345678901234567890123456789012345.678'), ('1e40'), ('1e-30'), ('0.000000000000000000000000000000000000000000012'),
  ('NaN'), ('Infinity'), ('-Infinity'), ('0.5'), ('-0.5'), ('2.5'), ('55.55'), ('5000'), ('4999.99'), ('1234567.1'), ('36');
select op, a.t, b.t, pg_temp.answer(format(case op when 'div_trunc' then 'div(%L::numeric,%L::numeric)'
    else '%L::numeric ' || replace(op, '%', '%%') || ' %L::numeric' end, a.t, b.t))
from v a, v b, unnest(array['+', '-', '*', '/', '%', 'div_trunc', '<', '=']) op;
select op, a.t, b.t, pg_temp.answer(format('%s(%L::numeric,%L::numeric)', op, a.t, b.t))
from v a, v b, unnest(array['power', 'log', 'gcd', 'lcm']) op
where op <> 'power' or (b.t in ('0', '1', '-1', '2', '3', '7', '-3.50', '0.1', '0.5', '10', '1.1', 'NaN', 'Infinity', '-Infinity', '0.0001', '36', '55.55', '9999', '-0.00000123', '1234567.1', '100000000'));
select op, a.t, '', pg_temp.answer(format('%s(%L::numeric)', op, a.t))
from v a, unnest(array['sqrt', 'exp', 'ln', 'log10', 'ceil', 'floor', 'abs', 'sign', '-', 'trim_scale']) op;
select op, a.t, n::text, pg_temp.answer(format('%s(%L::numeric,%s)', op, a.t, n))
from v a, unnest(array['round', 'trunc']) op, unnest(array[0, 1, 2, 5, -1, -4, 30]) n;
select 'to_' || ty, a.t, '', pg_temp.answer(format('%L::numeric::%s', a.t, ty)) from v a, unnest(array['int2', 'int4', 'int8', 'float8', 'float4']) ty;
select 'to_' || ty, t, '', pg_temp.answer(format('%L::numeric::%s', t, ty))
from unnest(array['1e308', '1.8e308', '1e-320', '1e-400', '3.4028235e38', '3.5e38', '1e-46', '32767.4', '32767.5', '2147483647.5', '9223372036854775807.4', '9223372036854775807.5', '-9223372036854775808.4', '0.1', '123456.789', '0.3', '16777217', '9007199254740993', '2.2250738585072014e-308']) t,
  unnest(array['int2', 'int4', 'int8', 'float8', 'float4']) ty;
select 'from_' || ty, t, '', pg_temp.answer(format('%L::%s::numeric', t, ty))
from unnest(array['0', '-0', '0.1', '1e20', '1.5e-7', '123456789.123456789', '1e15', '999999999999999', '1e-20', '-2.5', '0.3', '1234567', '33.333333333333336', '1e30', 'NaN', 'Infinity', '-Infinity', '100', '1e14']) t, unnest(array['float8', 'float4']) ty;
select 'in', t, '', pg_temp.answer(format('%L::numeric', t))
from unnest(array['', ' ', 'abc', '1', ' 1 ', '+1', '-1', '--1', '1.', '.5', '.', '-.5', '1e5', '1e-5', '1.50e2', '1e', '1e+', '1ee5', '1 2', '1e1000', '1e131071', '1e131072', '-1e131072', '1e-16383', '1e-16384',
  '0e-20', '000123', '000.000', '1e2147483647', '1e1073741823', '1e99999999999999999999', 'nan', 'NAN', ' NaN ', '+nan', 'inf', '-inf', '+Infinity', 'Infinit', 'infinityx', '1_000', '0x10', '12345678901234567890123456789012345678901234567890.123', '-0', '-0.0', '1.2.3', '１']) t;
select 'in(' || m || ')', t, '', pg_temp.answer(format('%L::numeric(%s)', t, m))
from unnest(array['5,2', '3,0', '15,2', '18,18', '38,10', '50,10', '3,-2', '3,5', '2,20', '1,0', '38,38']) m,
  unnest(array['0', '1', '-1.005', '1.004', '1.005', '999.994', '999.995', '-999.995', '1000', '99950', '99949', '100000', '0.00999', '0.009995', '0.0099949', '1e10', '1e-10', 'NaN', 'Infinity', '0.999999999999999999', '0.9999999999999999995', '12345678901234567890.12345678901', '  12.5 ', '9.5', '0.00000000000000000009', '9999999999999.99', '9999999999999.994', '9999999999999.995']) t;
select 'in(' || m || ')', '1', '', pg_temp.answer(format('%L::numeric(%s)', '1', m)) from unnest(array['0', '1001', '1000', '5,1001', '5,-1001', '5,2,1', '1000,1000', '5,-1000']) m;
select op, x::text, '', pg_temp.answer(format('%s(%L::numeric)', op, x)) from (select (random() * 10 ^ (random() * 20 - 10))::numeric from generate_series(1, 60)) s(x), unnest(array['sqrt', 'exp', 'ln', 'log10']) op, (select setseed(0.5)) z where x > 0;
select op, a::text, b::text, pg_temp.answer(format(case op when 'power' then 'power(%L::numeric,%L::numeric)' else '%L::numeric ' || replace(op, '%', '%%') || ' %L::numeric' end, a, b))
from (select ((random() - 0.5) * 10 ^ (random() * 60 - 20))::numeric * (random() * 1000)::numeric, ((random() - 0.5) * 10 ^ (random() * 30 - 15))::numeric * (random() * 1e9)::numeric from generate_series(1, 300)) s(a, b), unnest(array['+', '-', '*', '/', '%']) op;
select 'power', a::text, b::text, pg_temp.answer(format('power(%L::numeric,%L::numeric)', a, b))
from (select (random() * 10 ^ (random() * 8 - 4))::numeric, ((random() - 0.5) * 10 ^ (random() * 4 - 2))::numeric from generate_series(1, 100)) s(a, b);
select 'power', a::text, n::text, pg_temp.answer(format('power(%L::numeric,%s::numeric)', a, n))
from (select (random() * 10 ^ (random() * 8 - 4))::numeric from generate_series(1, 10)) s(a), unnest(array[-1000, -20, -3, 4, 5, 17, 100, 1001]) n;
select 'send', t, '', encode(numeric_send(t::numeric), 'hex') from (select t from v union all select unnest(array['1e131071', '1e-16383', '12345678901234567890123456789012345678901234567890.123', '1.2345', '0.00012', '10000.0001', '120000']) ) s(t);
