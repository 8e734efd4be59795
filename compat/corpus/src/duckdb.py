"""Runs TPC-H in DuckDB for the Rust side: see duckdb.rs. Prints one tab-separated line per measurement."""

import datetime
import decimal
import os
import resource
import sys
import time

import duckdb

threads, runs, csv_dir, work_dir = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]


def say(*cells):
    print(*cells, sep="\t", flush=True)


def text(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return str(value)
    return str(value) or "(empty)"


con = duckdb.connect(config={"threads": threads})
say("version", duckdb.__version__)
# It would be drawn among the lines.
con.execute("set enable_progress_bar = false")
names = []
with open(os.path.join(work_dir, "tables.sql")) as f:
    for statement in f.read().split(";"):
        if statement.strip():
            con.execute(statement)
            names.append(statement.split()[2])
for name in names:
    begin = time.perf_counter()
    con.execute(f"copy {name} from '{csv_dir}/{name}.csv' (format csv, header false, delimiter ',', quote '\"')")
    seconds = time.perf_counter() - begin
    say("load", name, con.execute(f"select count(*) from {name}").fetchone()[0], seconds)
say("loaded_peak_kib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
if "lineitem" in names:
    path = os.path.join(work_dir, "lineitem.out.csv")
    begin = time.perf_counter()
    con.execute(f"copy lineitem to '{path}' (format csv, header false)")
    say("export", time.perf_counter() - begin, os.path.getsize(path))
    os.remove(path)
for number in range(1, 23):
    path = os.path.join(work_dir, f"q{number:02}.sql")
    if not os.path.exists(path):
        continue
    with open(path) as f:
        sql = f.read()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        rows = con.execute(sql).fetchall()
        times.append(time.perf_counter() - begin)
    with open(os.path.join(work_dir, f"q{number:02}.tsv"), "w") as f:
        for row in rows:
            f.write("\t".join(text(value) for value in row) + "\n")
    say("query", number, *times)
say("peak_kib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
