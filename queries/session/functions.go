package session

// tableFunctions lists the table functions and table macros of DuckDB 1.5, and whether the gate allows them.
// It allows those that make rows from their arguments or list what exists. A test compares the list with
// DuckDB's, so a function added by a later DuckDB is not allowed before somebody has checked it. Refused are,
// for example: read_csv and similar functions, enable_logging, checkpoint, query (which runs text as SQL),
// arrow_scan (which takes addresses), duckdb_constraints (which binds the conditions of the file's tables),
// and pragma_table_info (which binds the named view).
var tableFunctions = map[string]bool{
	"duckdb_columns": true, "duckdb_databases": true, "duckdb_dependencies": true, "duckdb_extensions": true,
	"duckdb_functions": true, "duckdb_indexes": true, "duckdb_keywords": true, "duckdb_memory": true,
	"duckdb_optimizers": true, "duckdb_schemas": true, "duckdb_sequences": true, "duckdb_settings": true,
	"duckdb_tables": true, "duckdb_types": true, "duckdb_variables": true, "duckdb_views": true,
	"generate_series": true, "icu_calendar_names": true, "json_each": true, "json_tree": true,
	"pg_timezone_names": true, "pragma_collations": true, "pragma_database_size": true,
	"pragma_platform": true, "pragma_user_agent": true, "pragma_version": true, "range": true, "repeat": true,
	"repeat_row": true, "summary": true, "test_all_types": true, "unnest": true,

	"arrow_scan": false, "arrow_scan_dumb": false, "check_peg_parser": false, "checkpoint": false,
	"disable_logging": false, "disable_peg_parser": false, "disable_profiling": false,
	"duckdb_approx_database_count": false, "duckdb_connection_count": false, "duckdb_constraints": false,
	"duckdb_coordinate_systems": false, "duckdb_external_file_cache": false, "duckdb_log_contexts": false,
	"duckdb_logs": false, "duckdb_logs_parsed": false, "duckdb_prepared_statements": false,
	"duckdb_profiling_settings": false, "duckdb_secret_types": false, "duckdb_secrets": false,
	"duckdb_table_sample": false, "duckdb_temporary_files": false, "enable_logging": false,
	"enable_peg_parser": false, "enable_profiling": false, "force_checkpoint": false, "glob": false,
	"histogram": false, "histogram_values": false, "json_execute_serialized_sql": false,
	"parquet_bloom_probe": false, "parquet_file_metadata": false, "parquet_full_metadata": false,
	"parquet_kv_metadata": false, "parquet_metadata": false, "parquet_scan": false, "parquet_schema": false,
	"pragma_metadata_info": false, "pragma_show": false, "pragma_storage_info": false,
	"pragma_table_info": false, "query": false, "query_table": false, "read_blob": false, "read_csv": false,
	"read_csv_auto": false, "read_duckdb": false, "read_json": false, "read_json_auto": false,
	"read_json_objects": false, "read_json_objects_auto": false, "read_ndjson": false,
	"read_ndjson_auto": false, "read_ndjson_objects": false, "read_parquet": false, "read_text": false,
	"seq_scan": false, "sniff_csv": false, "sql_auto_complete": false, "test_vector_types": false,
	"truncate_duckdb_logs": false, "which_secret": false,
}

// actingFunctions are scalar functions that have effects or take SQL.
var actingFunctions = map[string]bool{
	"write_log": true, "nextval": true, "currval": true, "json_serialize_plan": true,
	"json_deserialize_sql": true, "json_execute_serialized_sql": true, "pg_get_constraintdef": true,
	"parse_duckdb_log_message": true,
}

// stateFunctions take the state of an aggregate, as made by EXPORT_STATE.
var stateFunctions = map[string]bool{"finalize": true, "combine": true}

// systemViews are DuckDB's views that list what exists, in any schema.
var systemViews = map[string]bool{
	"duckdb_columns": true, "duckdb_databases": true, "duckdb_indexes": true, "duckdb_schemas": true,
	"duckdb_tables": true, "duckdb_types": true, "duckdb_views": true, "sqlite_master": true,
	"sqlite_schema": true, "sqlite_temp_master": true, "sqlite_temp_schema": true,
	"pragma_database_list": true, "columns": true, "schemata": true, "tables": true, "views": true,
	"character_sets": true, "pg_attribute": true, "pg_class": true, "pg_description": true, "pg_enum": true,
	"pg_namespace": true, "pg_proc": true, "pg_settings": true, "pg_tables": true, "pg_type": true,
	"pg_views": true,
}

// otherSystemViews are DuckDB's other views. Most bind the conditions of tables.
var otherSystemViews = map[string]bool{
	"duckdb_constraints": true, "duckdb_logs": true, "check_constraints": true,
	"constraint_column_usage": true, "constraint_table_usage": true, "key_column_usage": true,
	"referential_constraints": true, "table_constraints": true, "pg_am": true, "pg_attrdef": true,
	"pg_collation": true, "pg_constraint": true, "pg_database": true, "pg_depend": true, "pg_index": true,
	"pg_indexes": true, "pg_prepared_statements": true, "pg_sequence": true, "pg_sequences": true,
	"pg_tablespace": true,
}
