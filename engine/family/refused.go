package family

import "slices"

// notRead are model types that users come across, and why they are not supported.
var notRead = map[string]string{
	"bloom":           "ALiBi adds a bias by distance to its scores",
	"mpt":             "ALiBi adds a bias by distance to its scores",
	"mixtral":         "its mixture of experts is not read yet",
	"qwen2_moe":       "its mixture of experts is not read yet",
	"qwen3_moe":       "its mixture of experts is not read yet",
	"deepseek_v2":     "its attention is MLA: keys come from a latent vector, a part of them turned apart",
	"deepseek_v3":     "its attention is MLA: keys come from a latent vector, a part of them turned apart",
	"gemma3n":         "it adds embeddings of its own to every layer (per-layer embeddings)",
	"gemma3n_text":    "it adds embeddings of its own to every layer (per-layer embeddings)",
	"qwen3_next":      "most of its layers have linear attention, which has no scores",
	"qwen3_5":         "most of its layers have linear attention, which has no scores",
	"qwen3_5_text":    "most of its layers have linear attention, which has no scores",
	"llama4":          "it is not read yet: chunked attention, temperature by position",
	"llama4_text":     "it is not read yet: chunked attention, temperature by position",
	"ministral3":      "its queries are scaled by position",
	"gpt_neo":         "its scores are not scaled and its windows alternate by a list of its own",
	"gpt_bigcode":     "it is not read yet",
	"starcoder2":      "it is not read yet",
	"stablelm":        "it is not read yet",
	"cohere":          "it is not read yet",
	"cohere2":         "it is not read yet",
	"granite":         "it is not read yet: it multiplies residuals and scores by numbers of its own",
	"phi3small":       "it is not read yet",
	"phimoe":          "its mixture of experts is not read yet",
	"glm4":            "it is not read yet",
	"mamba":           "it has no attention",
	"mamba2":          "it has no attention",
	"bert":            "it is an encoder: its tokens see what comes after them",
	"roberta":         "it is an encoder: its tokens see what comes after them",
	"t5":              "it has an encoder and cross attention",
	"bart":            "it has an encoder and cross attention",
	"paligemma":       "its text model sees the prompt in both directions",
	"recurrent_gemma": "most of its layers are recurrent",
}

// NotRead returns the model types that are refused, with the reason, sorted by name.
func NotRead() []string {
	var list []string
	for kind, why := range notRead {
		list = append(list, kind+": "+why)
	}
	slices.Sort(list)
	return list
}
