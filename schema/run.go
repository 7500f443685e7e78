package schema

import "time"

// Model describes a model, as the model table does.
type Model struct {
	Name       string
	Family     string // such as gpt2, llama: the page of engine/family that reads it
	SHA256     string // of the weight files, in hexadecimal
	ConfigSHA  string // of what the family read in the configuration, in hexadecimal; see engine/family
	NLayers    int
	NHeads     int
	NKVHeads   int // key-value heads of a layer; NHeads but for GQA and MQA
	DModel     int
	DHead      int
	DMLP       int
	DVocab     int
	NCtx       int
	Norm       string  // LN, RMS or none: the norm before attention
	LNEps      float64 // epsilon of that norm, or of the model's other norms where there is none before attention
	Activation string
}

// Target is a head whose scores are split, with what enters them.
type Target struct {
	Head
	KVHead     int     // the key-value head that it reads
	ScoreScale float64 // what q . k is multiplied by: 1/sqrt(d_head) in most families
	SoftCap    float64 // scores s become cap tanh(s / cap) before softmax; 0: they do not
	Window     int     // positions it can see, its own included; 0: all before it
	SinkLogit  float64 // logit of the attention sink; NaN where there is none
	RotaryDims int     // dimensions of q and k that rotary embedding turns; 0: none
}

// RunStatus says how far a run has come.
type RunStatus uint8

// A run is running until its last batch is written and its counts are checked.
const (
	Running RunStatus = iota
	Complete
)

var runStatuses = [...]string{"running", "complete"}

// String gives the word of the run_status enumeration.
func (s RunStatus) String() string { return runStatuses[s] }

// ParseRunStatus is the inverse of [RunStatus.String].
func ParseRunStatus(s string) (RunStatus, error) {
	return parseEnum[RunStatus]("run status", runStatuses[:], s)
}

// Run is the manifest of an ingest: everything needed to make the same rows again.
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
	Prompts       int    // how many
	PromptsSHA256 string // over their texts, tokens and positions, in hexadecimal
	Seed          int64
	BOS           bool
	BOSPolicy     string // who decided about BOS: auto, on or off
	Convention    Convention
	Processing    Processing
	Precision     string // "float32" or "float64"
	BLAS          string // name of the matrix-multiply provider
	Threads       int
	Factors       bool   // whether factors are stored
	Pairs         bool   // whether pair tables are stored for every example, not only their means
	PairMeans     bool   // whether means of pairs are stored
	Logits        bool   // whether logits are stored
	Gram          []int  // components whose inner products with each other are stored, in their order; nil: none
	Options       string // further things that the run was asked for, as a JSON object; "" if none
}
