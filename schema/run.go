package schema

import (
	"encoding/json"
	"time"
)

// Model describes a model, like table model.
type Model struct {
	Name   string
	Family string // such as gpt2, llama: the file of engine/family that reads it
	SHA256 string // of the weight files, in hexadecimal
	// ConfigSHA is of the parts of the configuration that the family reads, in hexadecimal; see
	// engine/family.
	ConfigSHA  string
	NLayers    int
	NHeads     int
	NKVHeads   int // key-value heads of a layer; differs from NHeads for GQA and MQA
	DModel     int
	DHead      int
	DMLP       int
	DVocab     int
	NCtx       int
	Norm       string  // the norm before attention: LN, RMS or none
	LNEps      float64 // epsilon of that norm, or of the model's other norms if there is none
	Activation string
}

// Target is a head whose scores are split, with the parameters of its scores.
type Target struct {
	Head
	KVHead     int     // key-value head that it reads
	ScoreScale float64 // factor of q . k: 1/sqrt(d_head) in most families
	SoftCap    float64 // scores s become cap tanh(s / cap) before softmax; 0: no cap
	Window     int     // number of positions that it sees, including its own; 0: all
	SinkLogit  float64 // logit of the attention sink; NaN if there is none
	RotaryDims int     // dimensions of q and k that rotary embedding rotates; 0: none
}

// RunStatus is the progress of a run.
type RunStatus uint8

// A run is running until its last batch is written and its counts are checked.
const (
	Running RunStatus = iota
	Complete
)

var runStatuses = [...]string{"running", "complete"}

// String returns the word of the run_status enumeration.
func (s RunStatus) String() string { return runStatuses[s] }

// ParseRunStatus is the inverse of [RunStatus.String].
func ParseRunStatus(s string) (RunStatus, error) {
	return parseEnum[RunStatus]("run status", runStatuses[:], s)
}

// Run is the manifest of an ingest: everything that is needed to compute the same rows again.
type Run struct {
	Model         Model
	Heads         []Target
	Components    []Component // results refer to them by index
	Bases         []Basis     // contributions refer to them by index
	Movers        []Head      // heads whose outputs are substituted and projected
	CreatedAt     time.Time
	Version       string // of ducklens
	CommandLine   string
	PromptSource  string // "ioi", or the path of a prompt or template file
	Prompts       int    // number of prompts
	PromptsSHA256 string // of the texts, tokens and positions, in hexadecimal
	Seed          int64
	BOS           bool
	BOSPolicy     string // how BOS was decided: auto, on or off
	Convention    Convention
	Processing    Processing
	Precision     string // "float32" or "float64"
	BLAS          string // name of the matrix-multiply provider
	Threads       int
	Factors       bool   // factors are stored
	Pairs         bool   // pair tables are stored for every example, not only their means
	PairMeans     bool   // means of pairs are stored
	Logits        bool   // logits are stored
	Gram          []int  // components with stored inner products, in order; nil: none
	Options       string // further options of the run, as a JSON object; "": none
	Shard         Shard  // the computed part of the run; zero: all of it
}

// ChoosesEdges reports whether rules choose edges of the prompts, so that a prompt may have any number of
// them.
func (r *Run) ChoosesEdges() bool {
	var asked struct {
		Edges []string `json:"edges"`
	}
	return r.Options != "" && json.Unmarshal([]byte(r.Options), &asked) == nil && len(asked.Edges) > 0
}
