package queries

// Query is a saved question: one SQL statement, what it asks, which parameters it takes and how its
// answer is drawn.
type Query struct {
	Name        string // lower case letters, digits and _
	Title       string // may hold {column}: the value that column has in every row of the answer
	Subtitle    string // likewise
	Description string
	Params      []Param
	Chart       Chart
	SQL         string // one statement; parameters as $name
}

// Param is a parameter of a [Query]. It is bound, never pasted into the SQL.
type Param struct {
	Name    string // lower case letters, digits and _; $name in the SQL
	Type    ParamType
	Default any // nil (NULL), string, int64, float64 or bool, as Type says
	Doc     string
}
