// Package plotly writes a [figure.Figure] for plotly.js: as figure JSON, which plotly.io.read_json opens in a
// notebook, and as a single HTML page that contains the figure and plotly.js and makes no requests to the
// network.
//
// Names, titles and labels of a figure come from run files and saved queries, which may be a stranger's.
// plotly.js reads texts as a small subset of HTML and expands %{placeholders}; everything that this package
// writes is escaped for both, so that text stays text. Numbers that are not finite are left out or null,
// because JSON has no NaN.
//
// The same figure gives the same bytes.
package plotly
