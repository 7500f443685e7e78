// Package figure draws the answers to saved queries: [New] turns a result into a [Figure] as the query's
// chart says, and [Figure.WriteSVG], [Figure.WritePDF] and [Figure.WritePNG] draw it. [Figure.Caption] says in words what it shows.
//
// A Figure is data: frames of panels of cells, distributions, bars or lines, with their axes, one colour scale or legend and what
// there is to say about their origin. All checking of the result happens in New, so that what draws a Figure cannot fail on its
// data; a NULL, a NaN or two rows for one place is an [Error] that shows the rows, never a blank picture. The model stands in
// files named after what they hold (cells, distributions of a histogram, bars, lines); what draws a mark, in files that end in plot.
//
// Figures look the same on every machine, byte for byte: the fonts are embedded, and nothing in a file
// depends on the time. The package knows no database.
package figure
