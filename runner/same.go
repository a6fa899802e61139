package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// sameRecord says that two states record the same: resources and outputs are equal. Serial and version of the engine are not
// compared, for the engine sets both when it writes a state. Of what is encrypted it is not known, and said of none.
func sameRecord(a, b []byte) (bool, error) {
	first, err := recordOf(a)
	if err != nil {
		return false, err
	}
	second, err := recordOf(b)
	if err != nil || first.Encrypted != nil || second.Encrypted != nil {
		return false, err
	}
	return reflect.DeepEqual(first, second), nil
}

type record struct {
	Outputs   map[string]any `json:"outputs"`
	Resources []any          `json:"resources"`
	Encrypted any            `json:"encrypted_data"`
}

func recordOf(content []byte) (*record, error) {
	r := &record{}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber() // not every number of a state fits into a float
	if err := decoder.Decode(r); err != nil {
		return nil, fmt.Errorf("it is no state file: %w", err)
	}
	if len(r.Outputs) == 0 {
		r.Outputs = nil
	}
	if len(r.Resources) == 0 {
		r.Resources = nil
	}
	return r, nil
}
