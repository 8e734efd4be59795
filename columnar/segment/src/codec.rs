//! Bytes of the envelope: integers little-endian or as varints; reading checks every length.

/// Appends values to a buffer.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, v: u8) {
        self.0.push(v);
    }
    pub(crate) fn u32(&mut self, v: u32) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }
    pub(crate) fn u64(&mut self, v: u64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }
    pub(crate) fn raw(&mut self, v: &[u8]) {
        self.0.extend_from_slice(v);
    }
    /// Seven bits per byte, the lowest first.
    pub(crate) fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }
    /// A signed number: zigzag, then as a varint.
    pub(crate) fn signed(&mut self, v: i64) {
        self.varint(((v << 1) ^ (v >> 63)) as u64);
    }
    pub(crate) fn bytes(&mut self, v: &[u8]) {
        self.varint(v.len() as u64);
        self.raw(v);
    }
}

/// What is wrong with bytes that make no sense.
pub(crate) type Nonsense = &'static str;

/// Takes values off the front of a buffer.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn raw(&mut self, n: usize) -> Result<&'a [u8], Nonsense> {
        let (head, rest) = self.0.split_at_checked(n).ok_or("it ends early")?;
        self.0 = rest;
        Ok(head)
    }
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Nonsense> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }
    pub(crate) fn u8(&mut self) -> Result<u8, Nonsense> {
        Ok(self.array::<1>()?[0])
    }
    pub(crate) fn u32(&mut self) -> Result<u32, Nonsense> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64, Nonsense> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(crate) fn varint(&mut self) -> Result<u64, Nonsense> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            v |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(v);
            }
        }
        Err("a number is too long")
    }
    pub(crate) fn signed(&mut self) -> Result<i64, Nonsense> {
        let v = self.varint()?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }
    /// A number of items or bytes; never more than there are bytes left.
    pub(crate) fn len(&mut self) -> Result<usize, Nonsense> {
        let n = self.varint()?;
        usize::try_from(n).ok().filter(|n| *n <= self.0.len()).ok_or("a length exceeds it")
    }
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Nonsense> {
        let n = self.len()?;
        self.raw(n)
    }
    pub(crate) fn str(&mut self) -> Result<&'a str, Nonsense> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }
}
