package s3

import (
	"net/http"
	"slices"
	"strings"

	"hugbucket/internal/object"
)

// attributeNames are what GetObjectAttributes can be asked for.
var attributeNames = []string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}

// getObjectAttributes implements GetObjectAttributes.
func (q *request) getObjectAttributes() error {
	var asked []string
	for _, v := range q.r.Header["X-Amz-Object-Attributes"] {
		for name := range strings.SplitSeq(v, ",") {
			asked = append(asked, strings.TrimSpace(name))
		}
	}
	if asked == nil {
		return invalidRequest.says("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty").err()
	}
	for _, name := range asked {
		if !slices.Contains(attributeNames, name) {
			return badArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
		}
	}
	a := attributes{parts: slices.Contains(asked, "ObjectParts")}
	var err error
	a.after, err = number(q.r.Header.Get("X-Amz-Part-Number-Marker"), "x-amz-part-number-marker", 0)
	if err != nil {
		return err
	}
	limit, err := number(q.r.Header.Get("X-Amz-Max-Parts"), "x-amz-max-parts", maxListed)
	if err != nil {
		return err
	}
	a.limit = min(limit, maxListed)
	info, err := q.s.store.Stat(q.r.Context(), q.bucket, q.key)
	if err != nil {
		return err
	}
	if err := q.checkRead(&info); err != nil {
		return err
	}
	a.info = &info
	x := newXML()
	x.root("GetObjectAttributesResponse")
	for _, name := range attributeNames {
		if slices.Contains(asked, name) {
			x.attribute(name, a)
		}
	}
	x.close("GetObjectAttributesResponse")
	q.w.Header()["Last-Modified"] = []string{info.ModTime.UTC().Format(http.TimeFormat)}
	return q.sendXML(x)
}

// attributes are those of an object.
type attributes struct {
	info         *object.Info
	parts        bool // parts are asked for
	after, limit int  // of parts
}

// attribute writes one of attributeNames.
func (x *xmlDoc) attribute(name string, a attributes) {
	info := a.info
	switch name {
	case "ETag":
		x.elem("ETag", info.ETag) // without quotes, unlike anywhere else
	case "Checksum":
		if sum := sumOf(info); sum.value != "" {
			if a.parts {
				sum.value, _, _ = strings.Cut(sum.value, "-") // their number stands beside it
			}
			x.open("Checksum")
			x.sum(sum)
			x.close("Checksum")
		}
	case "ObjectParts":
		if info.Parts != nil {
			x.objectParts(info, a.after, a.limit)
		}
	case "StorageClass":
		x.elem("StorageClass", "STANDARD")
	case "ObjectSize":
		x.int("ObjectSize", info.Size)
	}
}

// objectParts writes the parts of an object, as they are counted in it.
func (x *xmlDoc) objectParts(info *object.Info, after, limit int) {
	count := partCount(info)
	last := max(min(after+limit, count), after)
	x.open("ObjectParts")
	x.int("PartsCount", int64(count))
	x.int("PartNumberMarker", int64(after))
	x.int("NextPartNumberMarker", int64(last))
	x.int("MaxParts", int64(limit))
	x.truncated(last < count && limit > 0)
	for n := after + 1; n <= last; n++ {
		x.open("Part")
		x.int("PartNumber", int64(n))
		x.int("Size", partRange(info.Parts, n).n)
		x.sumValue(sumOfPart(info, n))
		x.close("Part")
	}
	x.close("ObjectParts")
}
