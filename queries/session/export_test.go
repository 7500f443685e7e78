package session

// The gate's lists of DuckDB's functions and views, for tests that compare them with DuckDB.
var (
	TableFunctions   = tableFunctions
	ActingFunctions  = actingFunctions
	SystemViews      = systemViews
	OtherSystemViews = otherSystemViews
)
