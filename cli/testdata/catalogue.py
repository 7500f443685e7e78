"""Asks a catalogue of ducklens gather with a stock DuckDB, and prints the version and the answers as JSON.

    python catalogue.py CATALOGUE DATA < STATEMENTS

STATEMENTS is a list of SELECTs, as JSON. DATA is where the data set lies; empty is where the catalogue says.
"""
import json
import sys

import duckdb

connection = duckdb.connect()
connection.execute(f"ATTACH '{sys.argv[1]}' AS c (READ_ONLY)")
connection.execute('USE c')
if sys.argv[2]:
    connection.execute(f"SET VARIABLE ducklens_data = '{sys.argv[2]}'")
answers = [[list(row) for row in connection.execute(s).fetchall()] for s in json.load(sys.stdin)]
print(json.dumps({'version': duckdb.__version__, 'answers': answers}, default=str))
