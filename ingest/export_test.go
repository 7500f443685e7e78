package ingest

import (
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// BatchSize makes the size of batches visible to the tests.
func (o *Options) BatchSize() int { return o.batchExamples() }

// PairMeans makes the means of pairs visible to the tests.
type PairMeans = pairMeans

var NewPairMeans = newPairMeans

func (p *pairMeans) Add(h *schema.HeadResult) error { return p.add(h) }

// Rows gives the columns mean_score_par_par to se_diff_perp_perp of every mean, in the order of writing.
func (p *pairMeans) Rows() (rows [][]dbfile.Value) {
	for _, head := range p.heads {
		for _, m := range p.means[head] {
			for i := range m.score {
				var row []dbfile.Value
				for _, of := range [][8]float32{m.score[i].columns(m.n), m.diff[i].columns(m.nBaseline)} {
					for _, x := range of {
						row = append(row, nullable(x))
					}
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}
