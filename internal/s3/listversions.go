package s3

// nullVersion is the version of everything in a bucket that keeps no versions.
const nullVersion = "null"

// listVersions implements ListObjectVersions: each key has one version, the latest.
func (q *request) listVersions() error {
	l, err := q.newListing()
	if err != nil {
		return err
	}
	marker := q.query.get("key-marker")
	version, hasVersion := q.query.find("version-id-marker")
	switch {
	case hasVersion && marker == "" && version != "":
		return badArgument("version-id-marker", version, "A version-id marker cannot be specified without a key marker.")
	case version != "" && version != nullVersion:
		return badArgument("version-id-marker", version, "Invalid version id specified")
	}
	l.startAfter(marker)
	if err := l.run(q); err != nil {
		return err
	}
	l.fetch = true
	x := l.x
	x.root("ListVersionsResult")
	l.head(q.bucket)
	l.name("KeyMarker", marker)
	x.elem("VersionIdMarker", version)
	if l.got.Truncated {
		last, isKey := l.last()
		l.name("NextKeyMarker", last)
		if isKey {
			x.elem("NextVersionIdMarker", nullVersion)
		}
	}
	l.rows("Version")
	x.close("ListVersionsResult")
	return q.sendXML(x)
}
