// Package figure draws the answers to saved queries. [New] turns a result into a [Figure], as the query's
// chart says. [Figure.WriteSVG], [Figure.WritePDF] and [Figure.WritePNG] draw it, and [Figure.Caption] says
// in words what it shows.
//
// A Figure is data: frames of panels of cells, distributions, bars or lines, with their axes, a colour scale
// or legend, and what there is to say about their origin. New checks the result completely, so that drawing a
// Figure cannot fail because of its data. A NULL, a NaN or two rows for one place is an [Error] that shows
// the rows, never a blank picture. The files of the model are named after what they hold (cells,
// distributions of a histogram, bars, lines); those that draw a mark end in plot.
//
// Figures are the same on every machine, byte for byte: the fonts are embedded, and nothing in a file depends
// on the time. The package knows no database.
package figure
