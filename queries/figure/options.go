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

// Limits of sizes, in inches and dots per inch. On a narrower page, titles and panel names are cut away.
const (
	LeastWidth, MostWidth   = 2, 60
	LeastHeight, MostHeight = 1, 60
	LeastDPI, MostDPI       = 36, 2400
)

// defaultDPI makes a 14 x 12 heatmap about 1000 pixels wide.
const defaultDPI = 200

// maxPixels bounds the memory of a PNG, 4 bytes per pixel: twice a page of 11 x 17 inches at 600 dpi.
const maxPixels = 150_000_000

// Validate returns an error that says what is wrong with the options.
func (o Options) Validate() error {
	if o.Width != 0 && !(o.Width >= LeastWidth && o.Width <= MostWidth) { // NaN is an error too
		return optionsError("width %.4g in (%.4g cm), want %d to %d in", o.Width, 2.54*o.Width, LeastWidth, MostWidth)
	}
	if o.Height != 0 && !(o.Height >= LeastHeight && o.Height <= MostHeight) {
		return optionsError("height %.4g in (%.4g cm), want %d to %d in", o.Height, 2.54*o.Height, LeastHeight, MostHeight)
	}
	if o.DPI != 0 && (o.DPI < LeastDPI || o.DPI > MostDPI) {
		return optionsError("%d dpi, want %d to %d", o.DPI, LeastDPI, MostDPI)
	}
	if int(o.Theme) >= len(themes) {
		return optionsError("%v, want one of %v", o.Theme, themes)
	}
	return nil
}
