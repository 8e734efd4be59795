-- What PostgreSQL answers to an expression, as text; an error as "!SQLSTATE message".
create or replace function pg_temp.answer(expression text) returns text language plpgsql as $$
declare result text; detail text;
begin
  execute 'select (' || expression || ')::text' into result;
  return coalesce(result, '!null');
exception when others then
  get stacked diagnostics detail = pg_exception_detail;
  return '!' || sqlstate || ' ' || sqlerrm || case when detail = '' then '' else ' (' || detail || ')' end;
end $$;
