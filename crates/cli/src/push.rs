//! `careen image push`: an image of this engine to a registry. It needs no swarm.

use crate::args::{Format, PushArgs};
use crate::carried::{self, own_image};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::registry::Credentials;
use crate::render::notes::Note;
use crate::render::print;
use crate::render::results::Pushed;
use crate::target::{NotPushed, Target, target};
use careen_engine::Engine;

/// Pushes, and says what the image is called from now on.
pub fn push(
    engine: &Engine,
    credentials: &Credentials,
    args: &PushArgs,
    format: Format,
    console: &mut impl Console,
) -> Result<Exit, Failure> {
    let own = args.image.is_none();
    let image = args.image.clone().unwrap_or_else(own_image);
    let failed = |source: NotPushed| Failure::NotPushed { image: image.clone(), source };
    let Target { repository, tag } = target(&args.target, &image).map_err(|why| failed(why.into()))?;
    let auth = credentials.for_image(&repository).map_err(|why| failed(why.into()))?;
    // The one that goes with this program, whatever an older one has left under the same name.
    if own && carried::ARCHIVE.is_some() {
        let not_loaded = |source| Failure::NotLoaded { image: image.clone(), source };
        carried::load(engine, carried::ARCHIVE).map_err(not_loaded)?;
    }
    engine.tag_image(&image, &repository, &tag).map_err(|why| match why.is_not_found() && own {
        true => failed(NotPushed::NotHere),
        false => failed(why.into()),
    })?;
    let mut unheard = None;
    let pushed = engine.push(&repository, &tag, auth.as_ref(), |line| {
        if unheard.is_none() {
            unheard = print(&Note::RegistrySays { line }, format, console).err();
        }
    });
    let pushed = pushed.map_err(|why| {
        let why = NotPushed::from(why);
        failed(if auth.is_none() { NotPushed::NoLogin { why: Box::new(why) } } else { why })
    })?;
    let digest = pushed.ok_or_else(|| failed(NotPushed::NoDigest))?.digest;
    let reference = format!("{repository}@{digest}");
    let pushed = Pushed { digest, image: reference.clone(), tag: format!("{repository}:{tag}") };
    print(&pushed, format, console)?;
    print(&Note::UseItWith { image: &reference }, format, console)?;
    Ok(Exit::Done)
}
