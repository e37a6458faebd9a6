package s3

import (
	"net/http"
	"strings"
	"testing"

	"hugbucket/internal/object"
)

// TestUploadsOfOtherDoors: what FTP notes of an overwrite and a push that is under way can be seen and dropped. Nobody goes on with them.
func TestUploadsOfOtherDoors(t *testing.T) {
	for door, note := range map[string]string{
		"ftp":   `{"ftp":1,"file":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}`,
		"push":  `{"push":1,"name":"dir/k","content_type":"text/x","length":4,"sha256":"AAAA","metadata":"filename ZA==","step":8388608}`,
		"other": "not even JSON",
	} {
		t.Run(door, func(t *testing.T) {
			creator := Key{AccessKey: "AKC", SecretKey: "sc", Mode: "create"}
			w := newWorld(t, Config{Keys: []Key{{AccessKey: testAccess, SecretKey: testSecret}, creator}})
			w.want(200, "", http.MethodPut, "/bkt", "")
			w.want(200, "", http.MethodPut, "/bkt/src", "source")
			store := object.New(w.mem, object.Config{})
			u, err := store.CreateUpload(t.Context(), "bkt", "dir/k", object.UploadOptions{Note: note})
			if err != nil {
				t.Fatal(err)
			}
			name := object.UploadName{Bucket: "bkt", Key: "dir/k", ID: u.ID}
			p, err := store.PutPart(t.Context(), name, 1, strings.NewReader("part"), object.PartOptions{})
			if err != nil {
				t.Fatal(err)
			}
			const target = "/bkt/dir/k"
			id := "uploadId=" + u.ID
			w.want(404, "NoSuchUpload", http.MethodPut, target+"?partNumber=2&"+id, "part")
			w.want(404, "NoSuchUpload", http.MethodPut, target+"?partNumber=2&"+id, "", "x-amz-copy-source", "bkt/src")
			w.want(404, "NoSuchUpload", http.MethodPost, target+"?"+id, completed("1", p.ETag()))
			if re := w.want(200, "", http.MethodGet, "/bkt?uploads", ""); !strings.Contains(re.body, "<UploadId>"+u.ID+"</UploadId>") {
				t.Error(re.body)
			}
			if re := w.want(200, "", http.MethodGet, target+"?"+id, ""); strings.Count(re.body, "<Part>") != 1 {
				t.Error(re.body)
			}
			w.as(creator).want(404, "NoSuchUpload", http.MethodDelete, target+"?"+id, "")
			w.want(204, "", http.MethodDelete, target+"?"+id, "")
			w.want(404, "NoSuchUpload", http.MethodDelete, target+"?"+id, "")
		})
	}
}

// TestDoneUploadOfAnotherDoor is not completed again over S3.
func TestDoneUploadOfAnotherDoor(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	store := object.New(w.mem, object.Config{})
	u, err := store.CreateUpload(t.Context(), "bkt", "k", object.UploadOptions{Note: `{"push":1}`})
	if err != nil {
		t.Fatal(err)
	}
	name := object.UploadName{Bucket: "bkt", Key: "k", ID: u.ID}
	p, err := store.PutPart(t.Context(), name, 1, strings.NewReader("part"), object.PartOptions{})
	if err == nil {
		_, err = store.Complete(t.Context(), name, []object.PartRef{{Number: 1, ETag: p.ETag()}}, object.CompleteOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.want(404, "NoSuchUpload", http.MethodPost, "/bkt/k?uploadId="+u.ID, completed("1", p.ETag()))
}

// TestUploadsWithoutNote are of this door, too: nothing is noted of who is nobody, and of a client that chose no checksum.
func TestUploadsWithoutNote(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(200, "", http.MethodPut, "/bkt", "")
	u, err := object.New(w.mem, object.Config{}).CreateUpload(t.Context(), "bkt", "k", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	id := "uploadId=" + u.ID
	w.want(200, "", http.MethodPost, "/bkt/k?"+id, completed("1", w.part("/bkt/k", id, 1, "part")))
}
