package plotly

import _ "embed"

// The plotly.js that pages carry: the bundle "cartesian", the smallest that has heatmaps and box plots, as npm has it in
// plotly.js-cartesian-dist-min. Its licence, MIT, lies beside it.
const (
	Version = "4.1.1"
	SHA256  = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a" // of vendored/plotly-cartesian.min.js
)

//go:embed vendored/plotly-cartesian.min.js
var script string

// Script gives plotly.js, minified. It may stand in a script element: it holds no </script, and no <!--.
func Script() string { return script }
