package s3

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
)

// unsetReads are the reads of what cannot be set, and what they answer.
var unsetReads = []struct {
	target string
	status int
	want   string // the error code, or a piece of the document
}{
	{"/bkt?policy", 404, "NoSuchBucketPolicy"},
	{"/bkt?policyStatus", 404, "NoSuchBucketPolicy"},
	{"/bkt?cors", 404, "NoSuchCORSConfiguration"},
	{"/bkt?tagging", 404, "NoSuchTagSet"},
	{"/bkt?lifecycle", 404, "NoSuchLifecycleConfiguration"},
	{"/bkt?website", 404, "NoSuchWebsiteConfiguration"},
	{"/bkt?object-lock", 404, "ObjectLockConfigurationNotFoundError"},
	{"/bkt?ownershipControls", 404, "OwnershipControlsNotFoundError"},
	{"/bkt?publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration"},
	{"/bkt?encryption", 404, "ServerSideEncryptionConfigurationNotFoundError"},
	{"/bkt?replication", 404, "ReplicationConfigurationNotFoundError"},
	{"/bkt?versioning", 200, `<VersioningConfiguration xmlns="` + namespace + `"></VersioningConfiguration>`},
	{"/bkt?accelerate", 200, `<AccelerateConfiguration xmlns="` + namespace + `"></AccelerateConfiguration>`},
	{"/bkt?logging", 200, `<BucketLoggingStatus xmlns="` + namespace + `"></BucketLoggingStatus>`},
	{"/bkt?notification", 200, `<NotificationConfiguration xmlns="` + namespace + `"></NotificationConfiguration>`},
	{"/bkt?requestPayment", 200, `<RequestPaymentConfiguration xmlns="` + namespace + `"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`},
	{"/bkt?acl", 200, privateACL},
	{"/bkt/k?acl", 200, privateACL},
	{"/bkt/k?acl&versionId=null", 200, privateACL},
	{"/bkt/k?tagging", 200, `<Tagging xmlns="` + namespace + `"><TagSet></TagSet></Tagging>`},
	{"/bkt/k?retention", 400, "InvalidRequest"},
	{"/bkt/k?legal-hold", 400, "InvalidRequest"},
}

// privateACL is the rest of an AccessControlPolicy behind its root.
const privateACL = `<Owner><ID>alice</ID><DisplayName>alice</DisplayName></Owner><AccessControlList><Grant>` +
	`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>alice</ID><DisplayName>alice</DisplayName></Grantee>` +
	`<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`

// TestUnsetReads: what nobody can set reads as what nobody has set, and only for those who may ask.
func TestUnsetReads(t *testing.T) {
	alice := Key{AccessKey: "AKA", SecretKey: "sa", Owner: "alice"}
	bob, creator := Key{AccessKey: "AKB", SecretKey: "sb", Owner: "bob"}, Key{AccessKey: "AKC", SecretKey: "sc", Owner: "alice", Mode: "create"}
	elsewhere := Key{AccessKey: "AKE", SecretKey: "se", Owner: "alice", Buckets: []string{"other"}}
	w := newWorld(t, Config{Keys: []Key{alice, bob, creator, elsewhere}})
	w.as(alice).want(200, "", http.MethodPut, "/bkt", "")
	w.as(alice).want(200, "", http.MethodPut, "/bkt/k", "x")
	for _, c := range unsetReads {
		re := w.as(alice).want(c.status, "", http.MethodGet, c.target, "")
		if c.status == 200 && !strings.Contains(re.body, c.want) || c.status != 200 && re.code() != c.want {
			t.Errorf("%s: no %s in %s", c.target, c.want, re.body)
		}
		w.as(alice).want(c.status, "", http.MethodGet, c.target+"&x-id=Get", "")
		w.as(alice).want(501, "NotImplemented", http.MethodGet, c.target+"&torrent", "")
		w.as(bob).want(403, "AccessDenied", http.MethodGet, c.target, "")
		w.as(elsewhere).want(403, "AccessDenied", http.MethodGet, c.target, "")
		w.as(alice).want(404, "NoSuchBucket", http.MethodGet, strings.Replace(c.target, "bkt", "gone", 1), "")
		if strings.HasPrefix(c.target, "/bkt/k") {
			w.as(creator).want(403, "AccessDenied", http.MethodGet, c.target, "")
		}
	}
	for _, sub := range []string{"acl", "tagging"} {
		w.as(alice).want(404, "NoSuchKey", http.MethodGet, "/bkt/gone?"+sub, "")
	}
}

// TestPrivateACL: the list that is there can be set, and no other.
func TestPrivateACL(t *testing.T) {
	alice := Key{AccessKey: "AKA", SecretKey: "sa", Owner: "alice"}
	reader, creator := alice, alice
	reader.AccessKey, reader.Mode = "AKR", "read"
	creator.AccessKey, creator.Mode = "AKC", "create"
	inside := alice
	inside.AccessKey, inside.Prefix = "AKP", "in/"
	w := newWorld(t, Config{Keys: []Key{alice, reader, creator, inside}}).as(alice)
	w.want(200, "", http.MethodPut, "/bkt", "", "x-amz-acl", "private")
	w.want(200, "", http.MethodPut, "/bkt/k", "content", "x-amz-acl", "private")
	policy := func(owner, grantee, permission string) string {
		return `<AccessControlPolicy xmlns="` + namespace + `"><Owner><ID>` + owner + `</ID></Owner><AccessControlList><Grant>` +
			`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">` + grantee + `</Grantee><Permission>` +
			permission + `</Permission></Grant></AccessControlList></AccessControlPolicy>`
	}
	got := w.want(200, "", http.MethodGet, "/bkt?acl", "").body
	for _, c := range []struct {
		status       int
		code         string
		canned, body string
	}{
		{200, "", "private", ""},
		{200, "", "", got},
		{200, "", "", policy("alice", "<ID>alice</ID>", "FULL_CONTROL")},
		{400, "MissingSecurityHeader", "", ""},
		{400, "InvalidRequest", "private", got},
		{400, "MalformedACLError", "", "<AccessControlPolicy>"},
		{400, "MalformedACLError", "", "<AccessControlPolicy/>"},
		{501, "NotImplemented", "public-read", ""},
		{501, "NotImplemented", "", policy("alice", "<ID>alice</ID>", "READ")},
		{501, "NotImplemented", "", policy("alice", "<ID>bob</ID>", "FULL_CONTROL")},
		{501, "NotImplemented", "", policy("bob", "<ID>alice</ID>", "FULL_CONTROL")},
		{501, "NotImplemented", "", policy("alice", "<ID>alice</ID><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "FULL_CONTROL")},
		{501, "NotImplemented", "", "<AccessControlPolicy><Owner><ID>alice</ID></Owner><AccessControlList/></AccessControlPolicy>"},
	} {
		var headers []string
		if c.canned != "" {
			headers = []string{"x-amz-acl", c.canned}
		}
		for _, target := range []string{"/bkt?acl", "/bkt/k?acl", "/bkt/k?acl&versionId=null"} {
			w.want(c.status, c.code, http.MethodPut, target, c.body, headers...)
		}
	}
	w.want(404, "NoSuchKey", http.MethodPut, "/bkt/gone?acl", "", "x-amz-acl", "private")
	w.want(404, "NoSuchBucket", http.MethodPut, "/gone?acl", "", "x-amz-acl", "private")
	for _, k := range []Key{reader, creator, inside} {
		w.as(k).want(403, "AccessDenied", http.MethodPut, "/bkt?acl", "", "x-amz-acl", "private")
		w.as(k).want(403, "AccessDenied", http.MethodPut, "/bkt/k?acl", "", "x-amz-acl", "private")
	}
	if re := w.want(200, "", http.MethodGet, "/bkt/k", ""); re.body != "content" {
		t.Errorf("the object is now %q", re.body)
	}
}

// versions is a ListVersionsResult.
type versions struct {
	KeyMarker, VersionIdMarker, NextKeyMarker, NextVersionIdMarker, EncodingType string
	IsTruncated                                                                  bool
	Version                                                                      []struct {
		Key, VersionId, ETag, LastModified, StorageClass string
		IsLatest                                         bool
		Size                                             int64
		Owner                                            struct{ ID string }
	}
	CommonPrefixes []struct{ Prefix string }
}

func (w *world) versions(query string) *versions {
	w.t.Helper()
	re := w.want(200, "", http.MethodGet, "/bkt?versions"+query, "")
	var v versions
	if err := xml.Unmarshal([]byte(re.body), &v); err != nil {
		w.t.Fatalf("%v: %s", err, re.body)
	}
	return &v
}

// TestListVersions: each key has one version, by the name of "null", and pages go on where they ended.
func TestListVersions(t *testing.T) {
	w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret, Owner: "alice"}}})
	w.want(200, "", http.MethodPut, "/bkt", "")
	if v := w.versions(""); v.IsTruncated || v.Version != nil {
		t.Errorf("empty: %+v", v)
	}
	for _, k := range []string{"a", "b%2Bc", "dir/1", "dir/2", "e", "e%01"} {
		w.want(200, "", http.MethodPut, "/bkt/"+k, "x")
	}
	v := w.versions("&encoding-type=url&prefix=b")
	if len(v.Version) != 1 || v.EncodingType != "url" {
		t.Fatalf("%+v", v)
	}
	if r := v.Version[0]; r.Key != "b%2Bc" || r.VersionId != "null" || !r.IsLatest || r.ETag != `"9dd4e461268c8034f5c8564e155c67a6"` || r.Size != 1 ||
		r.StorageClass != "STANDARD" || r.Owner.ID != "alice" || r.LastModified != "2026-03-14T15:09:26.000Z" {
		t.Errorf("%+v", r)
	}
	for delimiter, want := range map[string]string{"": "a b+c dir/1 dir/2 e e\x01", "/": "a b+c dir/ e e\x01"} {
		var got []string
		more := ""
		for range 10 {
			v := w.versions("&encoding-type=url&max-keys=1&delimiter=" + delimiter + more)
			for _, r := range v.Version {
				got = append(got, r.Key)
			}
			for _, p := range v.CommonPrefixes {
				got = append(got, p.Prefix)
			}
			if more = "&key-marker=" + v.NextKeyMarker; v.NextVersionIdMarker != "" {
				more += "&version-id-marker=" + v.NextVersionIdMarker
			}
			if isKey := len(v.Version) == 1; v.IsTruncated && isKey != (v.NextVersionIdMarker == "null") {
				t.Errorf("%+v", v)
			}
			if !v.IsTruncated {
				break
			}
		}
		if s := strings.NewReplacer("%2B", "+", "%01", "\x01").Replace(strings.Join(got, " ")); s != want {
			t.Errorf("delimiter %q: %q, want %q", delimiter, s, want)
		}
	}
	if v := w.versions("&max-keys=0"); v.IsTruncated || v.Version != nil {
		t.Errorf("nothing asked for: %+v", v)
	}
	for _, query := range []string{"max-keys=-1", "max-keys=x", "version-id-marker=null", "key-marker=a&version-id-marker=v1", "encoding-type=hex"} {
		w.want(400, "InvalidArgument", http.MethodGet, "/bkt?versions&"+query, "")
	}
	w.want(404, "NoSuchBucket", http.MethodGet, "/gone?versions", "")
	w.want(501, "NotImplemented", http.MethodGet, "/bkt?versions&list-type=2", "")
}

// TestBypass: deletions may ask to get past what nothing is under, as clean-up tools do.
func TestBypass(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	w.want(200, "", http.MethodPut, "/bkt/a", "x")
	w.want(200, "", http.MethodPut, "/bkt/b", "x")
	w.want(204, "", http.MethodDelete, "/bkt/a?versionId=null", "", bypassHeader, "true")
	body := "<Delete><Object><Key>b</Key><VersionId>null</VersionId></Object></Delete>"
	w.want(200, "", http.MethodPost, "/bkt?delete", body, bypassHeader, "true", "x-amz-checksum-crc32", strings.TrimPrefix(crc32Trailer([]byte(body)), "x-amz-checksum-crc32:"))
	if w.exists("bkt", "a") || w.exists("bkt", "b") {
		t.Error("they are still there")
	}
	w.want(501, "NotImplemented", http.MethodPut, "/bkt/a", "x", bypassHeader, "true")
}
