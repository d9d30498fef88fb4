//! A stored layer, inflated while it is read.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::oci::image::{Compression, compression};
use crate::sys::span::is_from_system;

/// Bytes that are copied at once.
pub(super) const CHUNK: usize = 256 << 10;

/// The tar in a stored layer.
///
/// Fails, at the latest at its end, when `stored` does: it is read to its end
/// before this one says that it is at its own.
pub(super) fn inflated(
    stored: Box<dyn Read + Send>,
    media_type: &str,
) -> io::Result<Box<dyn Read + Send>> {
    match compression(media_type) {
        Some(Compression::None) => Ok(stored),
        Some(Compression::Gzip) => Ok(Box::new(Gunzip(MultiGzDecoder::new(
            BufReader::with_capacity(CHUNK, stored),
        )))),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("media type `{media_type}` cannot be inflated"),
        )),
    }
}

struct Gunzip<R>(MultiGzDecoder<BufReader<R>>);

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).or_else(|error| {
            // Wrong bytes make no sense to a decoder long before the hash
            // over them is known. The hash is the reason to be told.
            if !is_from_system(&error) && error.kind() != io::ErrorKind::Interrupted {
                io::copy(self.0.get_mut(), &mut io::sink())?;
            }
            Err(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::gzip;
    use super::*;
    use crate::oci::digest::Digest;

    const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    /// Fails behind its last byte, as a verifying reader does.
    struct Wrong(&'static [u8]);

    impl Read for Wrong {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("digest mismatch")),
                read => Ok(read),
            }
        }
    }

    fn read(stored: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        inflated(Box::new(Wrong(stored.leak())), GZIP)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn a_wrong_hash_is_told_whatever_the_decoder_makes_of_the_bytes() {
        let good = gzip(b"content");
        let mut garbled = good.clone();
        garbled[12] ^= 0x55;
        for stored in [good.clone(), garbled, good[..9].to_vec(), b"plain".to_vec()] {
            assert_eq!(read(stored).unwrap_err().to_string(), "digest mismatch");
        }
    }

    #[test]
    fn right_bytes_that_are_no_gzip_are_the_decoders_error() {
        let mut bytes = Vec::new();
        let stored: &[u8] = b"plain bytes, and not at all what gzip makes";
        let error = inflated(Box::new(stored), GZIP)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap_err();
        assert!(error.to_string().contains("gzip"), "{error}");
    }

    #[test]
    fn a_plain_layer_is_itself_and_an_unknown_one_is_refused() {
        let mut bytes = Vec::new();
        inflated(
            Box::new(&b"tar"[..]),
            "application/vnd.oci.image.layer.v1.tar",
        )
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
        assert_eq!(Digest::of(&bytes), Digest::of(b"tar"));
        assert!(inflated(Box::new(&b""[..]), "application/zstd").is_err());
    }
}
