package ingest

import (
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// PairMeans makes the means of pairs visible to the tests.
type PairMeans = pairMeans

var NewPairMeans = newPairMeans

func (p *pairMeans) Add(h *schema.HeadResult) error { return p.add(h) }

// Rows gives the columns mean_score_par_par to se_diff_perp_perp of every mean, in the order of writing.
func (p *pairMeans) Rows() (rows [][]dbfile.Value) {
	for _, head := range p.heads {
		for _, m := range p.means[head] {
			for i := range m.score {
				rows = append(rows, m.diff[i].columns(m.score[i].columns(nil, m.n), m.nBaseline))
			}
		}
	}
	return rows
}
