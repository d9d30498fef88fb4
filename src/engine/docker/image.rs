//! Images: by id and by reference.

use std::collections::HashMap;

use bollard::query_parameters as query;

use super::call::{CHANGE, READ, absent, checked};
use super::{Docker, read};
use crate::engine::{EngineError, EngineImage};

pub(super) async fn image(
    docker: &Docker,
    reference: &str,
) -> Result<Option<EngineImage>, EngineError> {
    let action = format!("show image `{reference}`");
    let reference = checked(&action, reference)?;
    let found = docker
        .find(&action, docker.client.inspect_image(reference))
        .await?;
    Ok(found.and_then(read::image))
}

pub(super) async fn images(
    docker: &Docker,
    pattern: &str,
) -> Result<Vec<EngineImage>, EngineError> {
    let options = query::ListImagesOptions {
        filters: Some(HashMap::from([(
            "reference".to_owned(),
            vec![pattern.to_owned()],
        )])),
        ..query::ListImagesOptions::default()
    };
    let request = docker.client.list_images(Some(options));
    let listed = docker.call("list images", READ, request).await?;
    let mut images = Vec::with_capacity(listed.len());
    for summary in listed {
        images.extend(image(docker, &summary.id).await?);
    }
    Ok(images)
}

pub(super) async fn tag(docker: &Docker, id: &str, reference: &str) -> Result<(), EngineError> {
    let action = format!("tag image `{id}` as `{reference}`");
    let id = checked(&action, id)?;
    let (repo, tag) = split_reference(checked(&action, reference)?);
    let options = query::TagImageOptions {
        repo: Some(repo.to_owned()),
        tag: tag.map(str::to_owned),
    };
    docker
        .call(&action, CHANGE, docker.client.tag_image(id, Some(options)))
        .await
}

pub(super) async fn untag(docker: &Docker, reference: &str) -> Result<(), EngineError> {
    let action = format!("remove image reference `{reference}`");
    let name = checked(&action, reference)?;
    let request = docker
        .client
        .remove_image(name, None::<query::RemoveImageOptions>, None);
    match absent(docker.call(&action, CHANGE, request).await) {
        Ok(_) => Ok(()),
        // In use: the reference may be gone all the same.
        Err(
            error @ EngineError::Refused {
                status: Some(409), ..
            },
        ) => match image(docker, reference).await? {
            None => Ok(()),
            Some(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Splits `repo:tag`; a colon before a slash belongs to a registry's port.
fn split_reference(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((repo, tag)) if !tag.contains('/') => (repo, Some(tag)),
        _ => (reference, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_port_is_not_a_tag() {
        assert_eq!(split_reference("a/b:1"), ("a/b", Some("1")));
        assert_eq!(split_reference("h:5000/b"), ("h:5000/b", None));
        assert_eq!(split_reference("h:5000/b:1"), ("h:5000/b", Some("1")));
    }
}
