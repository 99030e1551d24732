"""A shop's tables, with what Django's fields and constraints ask of a database."""

import uuid

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)
    born = models.DateField(null=True)


class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    title = models.TextField(db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    pages = models.IntegerField(default=0)
    made = models.DateTimeField()
    uid = models.UUIDField(default=uuid.uuid4)
    data = models.JSONField(default=dict)
    length = models.DurationField(null=True)
    weight = models.FloatField(null=True)
    lent = models.BooleanField(default=False)
    cover = models.BinaryField(null=True)
    shelf = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(pages__gte=0), name="pages_positive"),
            models.UniqueConstraint(fields=["author", "title"], name="author_title"),
        ]
        indexes = [models.Index(fields=["price", "-pages"], name="price_pages")]


class Tag(models.Model):
    name = models.CharField(max_length=20)
    books = models.ManyToManyField(Book, related_name="tags")
