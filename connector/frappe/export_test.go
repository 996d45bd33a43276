package frappe

// Decoders under test by fuzzing, which has no site to ask.
var (
	DecodeRows = decodeRows
	DecodeMeta = decodeMeta
	ParseError = parseError
	Boot       = boot
	DecodeDoc  = decodeDoc
)
