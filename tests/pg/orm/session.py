"""What an application does through Django, against one server; prints each answer as a line.

    session.py PORT USER DATABASE
"""

import datetime
import decimal
import io
import sys
import uuid

import django
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Q, StdDev, Subquery, Sum
from django.db.models import ExpressionWrapper, Value, Variance, When, Window
from django.db.models import functions as f

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": sys.argv[1],
        "USER": sys.argv[2], "NAME": sys.argv[3]}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
        "django.contrib.postgres", "shop"],
    USE_TZ=True, TIME_ZONE="UTC", SECRET_KEY="x", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.postgres import aggregates as pg  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from shop.models import Author, Book, Tag  # noqa: E402

MADE = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)
BOOKS, AUTHORS = Book.objects, Author.objects


def create():
    for i in range(5):
        AUTHORS.create(name=f"a{i}", born=datetime.date(1900 + i, 1, 2))
    books = BOOKS.bulk_create([
        Book(
            author_id=1 + i % 5, title=f"t{i}", price=decimal.Decimal(i) / 4, pages=i * 10,
            made=MADE + datetime.timedelta(days=9 * i), uid=uuid.UUID(int=i),
            data={"k": i, "l": [1, i], "n": {"x": f"y{i}"}}, length=datetime.timedelta(hours=i),
            weight=i / 4, lent=i % 2 == 0, cover=bytes([0, i]))
        for i in range(50)])
    return [book.pk for book in books]


def alter():
    with connection.schema_editor() as editor:
        short = models.CharField(max_length=20, default="x")
        short.set_attributes_from_name("extra")
        editor.add_field(Author, short)
        long = models.TextField(null=True)
        long.set_attributes_from_name("extra")
        editor.alter_field(Author, short, long)
        editor.remove_field(Author, long)
        index = models.Index(fields=["born"], name="born_index")
        editor.add_index(Author, index)
        editor.remove_index(Author, index)


def nested():
    with transaction.atomic():
        author = AUTHORS.create(name="nested")
        try:
            with transaction.atomic():
                BOOKS.create(
                    author=author, title="z", price=1, pages=-1, made=MADE, uid=uuid.UUID(int=1))
        except IntegrityError as error:
            told = str(error)
        locked = AUTHORS.select_for_update(of=("self",)).get(pk=author.pk)
        free = list(AUTHORS.select_for_update(skip_locked=True).filter(pk=1))
        return told, locked.name, len(free)


def refused(**author):
    try:
        with transaction.atomic():
            AUTHORS.create(**author)
    except IntegrityError as error:
        return str(error)


def orphan():
    """The foreign key is checked at COMMIT: Django makes them so."""
    try:
        with transaction.atomic():
            BOOKS.create(author_id=999, title="orphan", price=1, made=MADE)
            inside = BOOKS.filter(title="orphan").count()
    except IntegrityError as error:
        return inside, str(error)


def tags():
    tag = Tag.objects.create(name="x")
    tag.books.add(*BOOKS.order_by("pk")[:3])
    fetched = BOOKS.prefetch_related("tags").filter(tags=tag).order_by("pk")
    return [(book.title, [t.name for t in book.tags.all()]) for book in fetched]


def introspection():
    of = connection.introspection
    with connection.cursor() as cursor:
        constraints = of.get_constraints(cursor, "shop_book")
        return (
            sorted(of.table_names(cursor)), of.get_relations(cursor, "shop_book"),
            of.get_primary_key_column(cursor, "shop_book"), sorted(constraints.items()),
            of.get_sequences(cursor, "shop_book"),
            [tuple(column) for column in of.get_table_description(cursor, "shop_book")])


def inspected():
    out = io.StringIO()
    call_command("inspectdb", stdout=out)
    return out.getvalue()


def stored():
    session = SessionStore()
    session["a"] = [1, "x"]
    session.save()
    return SessionStore(session.session_key)["a"]


def user():
    User.objects.create_user("u", "u@example.org", "secret")
    found = User.objects.get(username="u")
    permission = Q(user_permissions__isnull=True) | Q(groups__permissions__codename="x")
    return found.check_password("secret"), User.objects.filter(permission).distinct().count()


def first_of(query):
    return Subquery(query.values("title")[:1])


STEPS = {
    "migrate": lambda: call_command("migrate", verbosity=0, run_syncdb=True),
    "alter": alter,
    "create": create,
    "get": lambda: [BOOKS.values().get(title="t7")],
    "related": lambda: BOOKS.filter(author__name="a1", price__gt=3).order_by("-price")
    .values_list("title"),
    "like": lambda: (BOOKS.filter(title__icontains="T1").count(),
                     BOOKS.filter(title__startswith="t_").count()),
    "regex": lambda: (BOOKS.filter(title__regex=r"^t[1-3]$").count(),
                      BOOKS.filter(title__iregex=r"^T[1-3]$").count()),
    "IN": lambda: AUTHORS.filter(id__in=BOOKS.filter(pages__gt=460).values("author")).count(),
    "annotate": lambda: AUTHORS.annotate(
        n=Count("books"), s=Sum("books__price"), m=Max("books__pages")).order_by("id")
    .values_list("name", "n", "s", "m"),
    "aggregate": lambda: BOOKS.aggregate(
        x=Count("id", filter=Q(lent=True)), a=Avg("price"), s=StdDev("pages"),
        v=Variance("pages")),
    "F": lambda: BOOKS.update(pages=F("pages") + 1),
    "CASE": lambda: BOOKS.annotate(
        k=Case(When(pages__lt=100, then=Value("s")), default=Value("l"))).values("k")
    .annotate(c=Count("id")).order_by("k"),
    "EXISTS": lambda: AUTHORS.filter(
        Exists(BOOKS.filter(author=OuterRef("pk"), pages__gt=450))).count(),
    "subquery": lambda: AUTHORS.annotate(
        last=first_of(BOOKS.filter(author=OuterRef("pk")).order_by("-id"))).order_by("id")
    .values_list("last"),
    "window": lambda: BOOKS.annotate(
        r=Window(f.RowNumber(), partition_by="author", order_by="-price")).filter(r=1)
    .order_by("title").values_list("title"),
    "months": lambda: BOOKS.annotate(d=f.TruncMonth("made")).values("d")
    .annotate(c=Count("*")).order_by("d"),
    "parts of dates": lambda: BOOKS.filter(made__year=2025, made__week_day=7).order_by("id")
    .values_list("made__hour", "made__quarter", "made__iso_year"),
    "json": lambda: (
        BOOKS.filter(data__k=7).count(), BOOKS.filter(data__n__x="y3").count(),
        BOOKS.filter(data__contains={"k": 3}).count(), BOOKS.filter(data__has_key="k").count(),
        BOOKS.filter(data__k__gt=40).count(), BOOKS.filter(data__l__1=4).count(),
        BOOKS.filter(data__zz__isnull=True).count(),
        BOOKS.order_by("id").values_list("data__n__x")[:2]),
    "functions": lambda: BOOKS.annotate(
        a=f.Upper("title"), b=f.Length("title"), c=f.Coalesce("weight", Value(0.0)),
        d=f.Greatest("pages", "pages"), e=f.Round("price", 1), g=f.Substr("title", 1, 1),
        h=f.LPad("title", 5, Value("x")), i=f.MD5("title"), l=f.StrIndex("title", Value("t")),
        m=f.Reverse("title"), n=f.NullIf("pages", 1), o=f.Concat(
            "title", Value("-"), f.Cast("pages", models.TextField()),
            output_field=models.TextField())).order_by("id").values()[:3],
    "durations": lambda: (
        BOOKS.filter(length__gt=datetime.timedelta(hours=40)).count(),
        BOOKS.annotate(e=ExpressionWrapper(
            F("made") + F("length"), output_field=models.DateTimeField())).order_by("id")
        .values_list("e")[:3]),
    "set operations": lambda: (
        AUTHORS.filter(id=1).values_list("name").union(AUTHORS.filter(id=2).values_list("name"))
        .order_by("name"),
        AUTHORS.values_list("name").intersection(AUTHORS.filter(id=2).values_list("name")),
        AUTHORS.values_list("name").difference(AUTHORS.filter(id=2).values_list("name"))
        .order_by("name")),
    "DISTINCT ON": lambda: BOOKS.order_by("author", "-price").distinct("author")
    .values_list("title"),
    "get_or_create": lambda: (
        AUTHORS.get_or_create(name="new", defaults={"born": None})[1],
        AUTHORS.update_or_create(name="new", defaults={"born": MADE.date()})[1]),
    "upsert": lambda: (
        AUTHORS.bulk_create(
            [Author(name="new"), Author(name="new2")], update_conflicts=True,
            unique_fields=["name"], update_fields=["born"]),
        AUTHORS.bulk_create([Author(name="new")], ignore_conflicts=True), AUTHORS.count()),
    "bulk_update": lambda: BOOKS.bulk_update(
        [Book(pk=1, title="q1", pages=3), Book(pk=2, title="q2", pages=4)], ["title", "pages"]),
    "unique": lambda: refused(name="new"),
    "not null": lambda: refused(name=None),
    "savepoints": nested,
    "orphan": orphan,
    "many to many": tags,
    "array_agg": lambda: AUTHORS.annotate(
        x=pg.ArrayAgg("books__title", order_by="books__title"),
        y=pg.StringAgg("books__title", Value(","), order_by="-books__title")).order_by("id")
    .values_list("x", "y")[:2],
    "delete": lambda: AUTHORS.filter(pk=5).delete(),
    "cursor": lambda: [b.title for b in BOOKS.order_by("id").iterator(chunk_size=7)],
    "raw": lambda: [a.name for a in AUTHORS.raw("select * from shop_author where id = %s", [1])],
    "introspection": introspection,
    "inspectdb": inspected,
    "users": user,
    "session": stored,
    "flush": lambda: call_command("flush", interactive=False, verbosity=0),
    "count": lambda: (BOOKS.count(), AUTHORS.count()),
}


def shown(value):
    if isinstance(value, models.QuerySet):
        return repr(list(value))
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(shown(one) for one in value) + ")"
    return repr(value)


def main():
    for name, step in STEPS.items():
        try:
            told = shown(step())
        except Exception as error:  # The other server's answer says whether it should.
            told = f"{type(error).__name__}: {error}"
        print(name, told.replace("\n", "\\n"), sep="\t")


if __name__ == "__main__":
    main()
