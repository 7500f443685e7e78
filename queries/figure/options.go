package figure

import "fmt"

// Widths of a figure in print, in inches: one column of a two-column page, and the whole page.
const (
	ColumnWidth = 3.25
	PageWidth   = 6.75
)

// Options say how large a figure is drawn and in what colours. The zero value suits a wide page or a screen.
type Options struct {
	// Width in inches, from 2 to 60; 0 is as wide as the panels need. The height follows.
	// Panels wrap so that what is in them stays readable.
	Width float64
	// Height in inches, from 1 to 60, as far as what is in the panels can be read in it; 0 is what the panels
	// need. What is for print, at most 8.5 inches wide, is then no higher than a sheet of paper if that can
	// be.
	Height float64
	// DPI is the resolution of a PNG in dots per inch, from 36 to 2400; 0 is 200. Use 300 for print.
	DPI int
	// Theme is the look; Paper unless given.
	Theme Theme
}

// leastWidth is that of a page on which titles and the names of panels are not cut to nothing, in inches.
const leastWidth = 2

// defaultDPI makes a 14 x 12 heatmap about 1000 pixels wide.
const defaultDPI = 200

// maxPixels bounds the memory of a PNG, 4 bytes a pixel: a page of 11 x 17 inches at 600 dpi fits twice.
const maxPixels = 150_000_000

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	if o.Width != 0 && !(o.Width >= leastWidth && o.Width <= 60) { // not for NaN either
		return fmt.Errorf("%w: width %.4g in (%.4g cm), want %d to 60 in, or 0 for what the panels need", ErrOptions,
			o.Width, 2.54*o.Width, leastWidth)
	}
	if o.Height != 0 && !(o.Height >= 1 && o.Height <= 60) {
		return fmt.Errorf("%w: height %g in, want 1 to 60, or 0 for what the panels need", ErrOptions,
			o.Height)
	}
	if o.DPI != 0 && (o.DPI < 36 || o.DPI > 2400) {
		return fmt.Errorf("%w: %d dpi, want 36 to 2400, or 0 for %d", ErrOptions, o.DPI, defaultDPI)
	}
	if int(o.Theme) >= len(themes) {
		return fmt.Errorf("%w: %v, want one of %v", ErrOptions, o.Theme, themes)
	}
	return nil
}
