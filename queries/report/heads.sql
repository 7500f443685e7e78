-- name: report_heads
-- title: Heads of the run
-- description: Target heads of a run, in the order in which they were asked for.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- chart: table

SELECT h.label FROM head AS h WHERE h.run_id = coalesce($run, latest_run()) ORDER BY h.ordinal
