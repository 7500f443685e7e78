-- Tables, views and macros, and the columns of the former two, with their comments.
WITH object AS (
  SELECT 1 AS rank, 'table' AS kind, table_name AS name, comment, NULL::VARCHAR[] AS parameters FROM duckdb_tables() WHERE NOT internal
  UNION ALL SELECT 2, 'view', view_name, comment, NULL FROM duckdb_views() WHERE NOT internal
  UNION ALL SELECT CASE function_type WHEN 'macro' THEN 3 ELSE 4 END, function_type, function_name, any_value(comment), any_value(parameters)
    FROM duckdb_functions() WHERE NOT internal AND NOT starts_with(function_name, 'duckdb_') GROUP BY function_type, function_name
)
SELECT o.kind, o.name, o.comment, o.parameters,
  (SELECT list({name: c.column_name, type: c.data_type, comment: c.comment} ORDER BY c.column_index) FROM duckdb_columns() AS c
    WHERE o.rank <= 2 AND c.table_name = o.name AND NOT c.internal) AS columns
FROM object AS o
ORDER BY o.rank, o.name
