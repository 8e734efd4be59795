"""TPC-H in DuckDB's own file and in Parquet files, for the Rust side: see tiers/duckdb.rs. One tab-separated line per measurement."""

import os
import sys
import time

import duckdb

threads, runs, csv_dir, work_dir = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]


def say(*cells):
    print(*cells, sep="\t", flush=True)


def text(value):
    return "NULL" if value is None else str(value) or "(empty)"


database = os.path.join(work_dir, "duck.db")
names = []
con = duckdb.connect(database, config={"threads": threads})
con.execute("set enable_progress_bar = false")
with open(os.path.join(work_dir, "tables.sql")) as f:
    for statement in f.read().split(";"):
        if statement.strip():
            con.execute(statement)
            names.append(statement.split()[2])
for name in names:
    con.execute(f"copy {name} from '{csv_dir}/{name}.csv' (format csv, header false, delimiter ',', quote '\"')")
    path = os.path.join(work_dir, name + ".parquet")
    con.execute(f"copy {name} to '{path}' (format parquet, compression zstd)")
    say("parquet", name, os.path.getsize(path))
con.execute("checkpoint")
con.close()
say("database", os.path.getsize(database))
con = duckdb.connect(config={"threads": threads})
con.execute("set enable_progress_bar = false")
for name in names:
    con.execute(f"create view {name} as select * from '{work_dir}/{name}.parquet'")
for number in range(1, 23):
    with open(os.path.join(work_dir, f"q{number:02}.sql")) as f:
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
