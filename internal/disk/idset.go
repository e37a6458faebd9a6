package disk

// idSet is a set of row ids. Ids are dense, so it takes about a bit for each; what is taken is taken in pages, so that a
// table whose first rows are long gone takes no more.
type idSet struct {
	pages map[int64]*[idsPerPage / 64]uint64
}

// idsPerPage is how many ids a page holds: 1 KiB of bits.
const idsPerPage = 8 << 10

// add adds an id, and says whether it is new.
func (s *idSet) add(id int64) bool {
	n, i := uint64(id)/idsPerPage, uint64(id)%idsPerPage
	page := s.pages[int64(n)]
	if page == nil {
		if s.pages == nil {
			s.pages = make(map[int64]*[idsPerPage / 64]uint64)
		}
		page = new([idsPerPage / 64]uint64)
		s.pages[int64(n)] = page
	}
	bit := uint64(1) << (i % 64)
	had := page[i/64]&bit != 0
	page[i/64] |= bit
	return !had
}

func (s *idSet) remove(id int64) {
	n, i := uint64(id)/idsPerPage, uint64(id)%idsPerPage
	if page := s.pages[int64(n)]; page != nil {
		page[i/64] &^= 1 << (i % 64)
	}
}

func (s *idSet) has(id int64) bool {
	n, i := uint64(id)/idsPerPage, uint64(id)%idsPerPage
	page := s.pages[int64(n)]
	return page != nil && page[i/64]&(1<<(i%64)) != 0
}
