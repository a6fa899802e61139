package plan

import "slices"

// Marks are what the engine writes as after_sensitive, before_sensitive and after_unknown: true for a whole value, or
// an object or list of marks that follows the value's own shape. Nothing, false and empty collections mark nothing.

// hides says that the marks cover the value as a whole. Marks that don't fit the value's shape cover all of it: rather
// too much is hidden than too little.
func hides(marks, value any) bool {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		if _, fits := value.(map[string]any); fits {
			return false
		}
	case []any:
		if _, fits := value.([]any); fits {
			return false
		}
	}
	return marksAny(marks)
}

// marksAny says that something is marked, at any depth.
func marksAny(marks any) bool {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		for _, item := range m {
			if marksAny(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(m, marksAny)
	}
	return false
}

// under are the marks of one key of an object.
func under(marks any, key string) any {
	switch m := marks.(type) {
	case bool:
		return m
	case map[string]any:
		return m[key]
	}
	return nil
}

// at are the marks of one element of a list.
func at(marks any, i int) any {
	switch m := marks.(type) {
	case bool:
		return m
	case []any:
		if i < len(m) {
			return m[i]
		}
	}
	return nil
}

// pruned drops what marks nothing, so that engines which write it and engines which don't agree.
func pruned(marks any) any {
	if !marksAny(marks) {
		return nil
	}
	switch m := marks.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, item := range m {
			if p := pruned(item); p != nil {
				kept[key] = p
			}
		}
		return kept
	case []any:
		kept := make([]any, len(m))
		for i, item := range m {
			kept[i] = pruned(item)
		}
		return kept
	}
	return true
}

// union marks what either side marks.
func union(a, b any) any {
	if !marksAny(a) {
		return pruned(b)
	}
	if !marksAny(b) {
		return pruned(a)
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return unionMaps(x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return unionLists(x, y)
		}
	}
	return true
}

func unionMaps(a, b map[string]any) any {
	all := make(map[string]any, len(a))
	for key, item := range a {
		all[key] = union(item, b[key])
	}
	for key, item := range b {
		if _, done := a[key]; !done {
			all[key] = pruned(item)
		}
	}
	return all
}

func unionLists(a, b []any) any {
	all := make([]any, max(len(a), len(b)))
	for i := range all {
		all[i] = union(at(a, i), at(b, i))
	}
	return all
}
