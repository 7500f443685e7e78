package plotly

import _ "embed"

// The plotly.js that pages contain: the bundle "cartesian", the smallest that has heatmaps and box plots,
// from npm's plotly.js-cartesian-dist-min. Its licence, MIT, is beside it.
const (
	Version = "4.1.1"
	SHA256  = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a" // of vendored/plotly-cartesian.min.js
)

//go:embed vendored/plotly-cartesian.min.js
var script string

// Script returns plotly.js, minified. It can be put into a script element: it contains neither </script nor
// <!--.
func Script() string { return script }
