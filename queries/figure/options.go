package figure

// Widths of a figure in print, in inches: one column of a two-column page, and the whole page.
const (
	ColumnWidth = 3.25
	PageWidth   = 6.75
)

// Options say how large a figure is drawn and in which colours. The zero value suits a wide page or a screen.
type Options struct {
	// Width in inches, from 2 to 60; 0: as wide as the panels need. The height follows. Panels wrap so that
	// their content stays readable.
	Width float64
	// Height in inches, from 1 to 60, as far as the content of panels stays readable; 0: as high as the
	// panels need. A figure for print, which is at most 8.5 inches wide, is then not higher than a sheet of
	// paper if possible.
	Height float64
	// DPI is the resolution of a PNG in dots per inch, from 36 to 2400; 0: 200. Use 300 for print.
	DPI int
	// Theme is the look; default: Paper.
	Theme Theme
}

// leastWidth is the width in inches of the narrowest page on which titles and panel names are not cut away.
const leastWidth = 2

// defaultDPI makes a 14 x 12 heatmap about 1000 pixels wide.
const defaultDPI = 200

// maxPixels bounds the memory of a PNG, 4 bytes per pixel: twice a page of 11 x 17 inches at 600 dpi.
const maxPixels = 150_000_000

// Validate returns an error that says what is wrong with the options.
func (o Options) Validate() error {
	if o.Width != 0 && !(o.Width >= leastWidth && o.Width <= 60) { // NaN is an error too
		return optionsError("width %.4g in (%.4g cm), want %d to 60 in, or 0 for what the panels need", o.Width, 2.54*o.Width, leastWidth)
	}
	if o.Height != 0 && !(o.Height >= 1 && o.Height <= 60) {
		return optionsError("height %g in, want 1 to 60, or 0 for what the panels need", o.Height)
	}
	if o.DPI != 0 && (o.DPI < 36 || o.DPI > 2400) {
		return optionsError("%d dpi, want 36 to 2400, or 0 for %d", o.DPI, defaultDPI)
	}
	if int(o.Theme) >= len(themes) {
		return optionsError("%v, want one of %v", o.Theme, themes)
	}
	return nil
}
