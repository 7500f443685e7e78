// Package figure draws the answers to saved queries: [New] turns a result into a [Figure] as the query's
// chart says, and [Figure.WriteSVG] and [Figure.WritePNG] draw it.
//
// A Figure is data: frames of panels of cells, with their axes, one colour scale and what there is to say
// about their origin. All checking of the result happens in New, so that what draws a Figure cannot fail on its data;
// a NULL, a NaN or two rows for one cell is an [Error] that shows the rows, never a blank picture.
//
// Figures look the same on every machine, byte for byte: the fonts are embedded, and nothing in a file
// depends on the time. The package knows no database.
package figure
