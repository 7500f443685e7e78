// Package plotly writes a [figure.Figure] for plotly.js: as figure JSON, which plotly.io.read_json opens in a notebook, and as one
// HTML page that holds the figure and plotly.js itself and asks the network for nothing.
//
// Names, titles and labels of a figure come from run files and saved queries, which may be those of a stranger. plotly.js reads
// texts as a small HTML and fills in %{placeholders}; everything that this package writes is escaped for both, so that text stays
// text. Numbers that are not finite are left out or null: JSON has no NaN.
//
// The same figure gives the same bytes.
package plotly
