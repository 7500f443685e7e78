package session

// What the gate knows of DuckDB's functions and views, for the tests that compare it with DuckDB.
var (
	TableFunctions   = tableFunctions
	ActingFunctions  = actingFunctions
	SystemViews      = systemViews
	OtherSystemViews = otherSystemViews
)
